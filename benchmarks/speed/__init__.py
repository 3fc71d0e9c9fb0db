"""Commands that measure time and memory, and count multiply-accumulates."""
