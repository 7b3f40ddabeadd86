"""Search spaces: which keys vary, and how."""
