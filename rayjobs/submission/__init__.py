"""Jobs on a cluster through Ray's Jobs API: what is sent, to whom, and what is known of it afterwards."""
