"""Supervised models of the next return as policies: fitted on a training window, exported, run like any policy."""
