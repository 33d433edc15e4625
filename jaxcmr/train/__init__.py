"""Training: one loop, one step, all methods."""
