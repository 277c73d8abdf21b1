"""Execution of a study on Ray: workers, attempts, resources, signals, and messages to the user."""
