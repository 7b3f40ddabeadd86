"""One trial: how it trains, what it is worth, what is kept of it, where it runs."""
