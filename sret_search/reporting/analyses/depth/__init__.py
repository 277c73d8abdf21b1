"""Trained depths, beside rerun controls."""
