"""What a person and a tracker see of a running job."""
