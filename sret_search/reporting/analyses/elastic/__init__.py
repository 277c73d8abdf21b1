"""Elastic candidates: one set of weights at many depths."""
