"""Decoders to other sizes, trained for the latents of a finished model."""
