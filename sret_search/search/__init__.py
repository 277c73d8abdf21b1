"""Decisions of a search: which candidate to train next, which trials go on; without Ray or SQL."""
