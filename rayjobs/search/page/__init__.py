"""A study as tables, charts and a page."""
