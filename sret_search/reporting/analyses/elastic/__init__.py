"""Elastic candidates: the same weights at many depths."""
