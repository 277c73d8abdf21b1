"""Trained models for use elsewhere: a folder that stands alone, graphs, the Hugging Face hub, timm.

Knows neither Ray nor Optuna, nor studies: what a folder says of its model is given to it.
"""
