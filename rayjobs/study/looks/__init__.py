"""A job as a look of the ledger: entered, counted, and what runs on the disk show of looks."""
