"""Distances between pictures: what training lowers, and what the encoder's decisions weigh against bits."""
