"""Hyperparameter search: spaces, samplers, pruning, Tune running the trials, and what is written of them."""
