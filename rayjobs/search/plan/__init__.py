"""What a search is asked for: settings, objective, windows."""
