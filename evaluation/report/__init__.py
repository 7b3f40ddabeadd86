"""What a person reads: the report's page, its charts, and what is to be known of the bars."""
