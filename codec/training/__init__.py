"""Training: data, losses, loop, checkpoints, and the export of weights. Nothing else in the package imports it."""
