"""Orders and fills at a venue: the broker protocol, the order's life, the journal, the desk, and adapters."""
