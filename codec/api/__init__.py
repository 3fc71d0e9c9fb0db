"""The public face: `Codec`, pictures read and written by pieces, and the functions behind `import codec`."""
