"""Benchmarks: one module per suite, each with `run(settings) -> rows`."""
