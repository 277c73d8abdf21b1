"""A chart of connectivity."""
