"""One policy's training: the loop around RLlib, validation, checkpoints, nudges."""
