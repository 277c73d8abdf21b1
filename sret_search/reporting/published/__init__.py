"""Published results that a study may stand beside."""
