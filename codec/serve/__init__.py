"""A viewer in the browser: pictures of any size as Deep Zoom tiles. Uses the API and Pillow alone."""
