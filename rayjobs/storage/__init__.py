"""Where runs lie: run directories, a URI behind them, provenance, resuming."""
