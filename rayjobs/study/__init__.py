"""A walk-forward study: its configuration, its folds, its evidence and its report."""
