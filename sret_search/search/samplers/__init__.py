"""Which candidate to train next: samplers by name, each a function of the trials so far."""
