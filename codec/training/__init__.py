"""Training: data, loss, loop, checkpoints, and the export of weights. Nothing outside imports this package."""
