"""A sweep from end to end: its driver, its results, its winner."""
