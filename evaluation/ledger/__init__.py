"""The ledger: every look at bars, how looks are counted, and the sealed holdout."""
