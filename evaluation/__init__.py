"""Evaluation: splits, rollouts, metrics, significance, the gate and its report. Knows neither Ray nor
Hydra."""
