"""Plans: the formulas of many features noted once as one graph, and computed a few bars at a time in compiled code."""
