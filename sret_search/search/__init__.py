"""Decisions of a search: the next candidate to train, and the trials that continue."""
