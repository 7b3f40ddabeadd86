"""Feature screening: which features predict the next return out of sample."""
