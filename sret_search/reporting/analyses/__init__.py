"""Analyses. Each file has one analysis: numbers, table, charts, sentences, part of summary.json."""
