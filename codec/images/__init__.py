"""Pictures in memory and in image files. Knows Pillow; no torch."""
