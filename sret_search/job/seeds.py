"""Offsets that keep the seeds of extra trainings apart from a study's seeds."""

CONFIRMATION = 10_000
"""Offset for confirmation: seeds that chose a candidate do not confirm it."""
RATES = 20_000
"""Offset for trainings that choose a learning rate. They train nothing that is compared."""
