"""Hyperparameter search: spaces, samplers, pruning, the loop that drives trials on Ray, and what is written of them."""
