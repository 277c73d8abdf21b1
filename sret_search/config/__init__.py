"""Types of study and space files, and a reader that keeps the line and column of each part."""
