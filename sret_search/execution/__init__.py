"""Running a study on Ray: workers, attempts, resources, signals, and what the user sees."""
