"""Search: the ledger of trials, samplers, and the Ray Tune run that trains what they ask for."""
