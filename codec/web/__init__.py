"""A decoder for browsers: ECMAScript modules in `static`, and what makes pages of them."""
