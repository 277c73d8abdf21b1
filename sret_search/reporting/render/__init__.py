"""The page of a report, in a single file that loads nothing else."""
