"""The audit of a finished run: what it recorded is derived again from the bars, and compared."""
