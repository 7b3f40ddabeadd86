"""Market data: panels, calendars, hygiene, features, labels, synthetic markets and bundled samples."""
