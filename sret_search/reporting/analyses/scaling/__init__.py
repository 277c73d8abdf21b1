"""Laws of depth and size, and depth at equal cost."""
