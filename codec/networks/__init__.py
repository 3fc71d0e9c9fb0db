"""The networks that code a picture, and the weights files that hold them."""
