"""Entry points and job plumbing: what knows Hydra, Ray jobs, tracking and the run directory."""
