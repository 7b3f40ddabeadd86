"""Portfolio environments on one simulator kernel: instruments, costs, sizing, observations."""
