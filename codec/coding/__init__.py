"""From pixels to a `.cae` file and back."""
