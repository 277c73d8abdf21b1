"""The machine: its processors, GPUs and disks, and how long steps take on it."""
