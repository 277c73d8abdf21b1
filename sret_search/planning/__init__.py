"""The work that a study asks for, before it runs: trainings, hours, disk, and whether all is there."""
