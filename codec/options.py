"""What a caller may choose, and what holds where he does not."""

QUALITIES = range(1, 101)
DEFAULT_QUALITY = 50
DEFAULT_TILE = 1024
"""Side of a tile in pixels."""
