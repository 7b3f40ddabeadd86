"""What the configuration is checked with: typed values, and errors that name the nearest key."""
