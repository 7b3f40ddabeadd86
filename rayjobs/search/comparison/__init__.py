"""Several studies or runs side by side."""
