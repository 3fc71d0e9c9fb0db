"""The public API: `Codec`, readers and writers of pictures, and the functions behind `import codec`."""
