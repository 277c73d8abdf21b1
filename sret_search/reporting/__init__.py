"""Reports: rebuilt from a study's storage alone, without torch or Ray."""
