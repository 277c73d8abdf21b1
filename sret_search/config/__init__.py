"""Study and space files as types, read from YAML with the place of each part."""
