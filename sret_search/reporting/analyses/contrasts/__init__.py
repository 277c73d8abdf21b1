"""The contrasts that a study declares."""
