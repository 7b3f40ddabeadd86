"""Which trial comes next and which ends early: samplers, schedulers, populations, the study."""
