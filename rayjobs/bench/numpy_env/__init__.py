"""Vector envs in plain NumPy, stepped by whole-array expressions: what the env suite compares the kernel with."""
