"""Futures: dated contracts, when they end, when one is left for the next, and the series that are joined of them."""
