"""Trained models for use elsewhere: a self-contained folder, graphs, the Hugging Face hub, timm.

The room imports neither Ray nor Optuna, nor studies. Facts about a model are passed to it.
"""
