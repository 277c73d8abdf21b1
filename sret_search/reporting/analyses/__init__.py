"""Analyses: each a file with its numbers, table, charts, sentences and its part of summary.json."""
