"""Where a job runs: the Ray session, and the place of each process."""
