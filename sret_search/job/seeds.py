"""Seeds of trainings that must not share theirs with a study's own: so far beyond these."""

CONFIRMATION = 10_000
"""Those that chose a candidate do not confirm it."""
RATES = 20_000
"""Those that choose a learning rate train nothing that is compared."""
