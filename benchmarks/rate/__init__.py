"""Commands that measure rates and distortions of codecs."""
