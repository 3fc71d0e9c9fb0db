"""The `.cae` format: container, header, metadata sections, index and tiling. Knows bytes and NumPy; no torch, no model."""
