"""Which bars were looked at, and how they are known again under other names, dates and bar lengths."""
