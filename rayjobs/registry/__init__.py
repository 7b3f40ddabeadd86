"""Between verdict and venue: which version of a policy may trade where, since when, and by whose decision."""
