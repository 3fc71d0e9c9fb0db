"""The `.cae` format: container, entropy coding and tiling. Knows bytes and NumPy; no torch, no model."""
