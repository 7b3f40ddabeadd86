"""The gate: its evidence, criteria and verdict, and how often it is right."""
