"""Training: losses, samples, the loop and its checkpoints."""
