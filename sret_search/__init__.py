"""Search the family of recursive vision transformers (SReT) and measure what depth buys."""

__version__ = "0.1.0"
