"""Tasks whose images are made by seed, in place of being read from files."""
