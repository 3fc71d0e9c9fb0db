"""The exact part of the codec: entropy coder, scale model and symbols, in integers. NumPy and constriction; no torch."""
