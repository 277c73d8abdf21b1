"""Reports, rebuilt from the storage of a study alone, without torch or Ray."""
