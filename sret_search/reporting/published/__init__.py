"""Published results with which a study may be compared."""
