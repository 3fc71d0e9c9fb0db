"""The decoder's networks by NumPy alone: the same tensors as in `codec.networks`, whose layers these are, in float32.

Arrays are (rows, columns, channels). Blocks go over a window strip by strip, so that what they hide stays in the processor's
cache. NumPy lets other threads run meanwhile, so that windows and tiles are worked on side by side.
"""
