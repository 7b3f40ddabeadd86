"""Policies and baselines run through the simulator on test windows, also under stress."""
