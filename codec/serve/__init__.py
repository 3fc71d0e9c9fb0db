"""A viewer in the browser: pictures of any size as Deep Zoom tiles. Knows the API alone, and Pillow."""
