"""Commands that train models to compare them, or make what they are trained on."""
