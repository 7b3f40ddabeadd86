"""A finished run read back, scored again, audited."""
