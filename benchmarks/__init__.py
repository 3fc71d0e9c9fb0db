"""Rate-distortion benchmark: which codec gives the better picture for the bytes. Start with `python -m benchmarks --help`."""
