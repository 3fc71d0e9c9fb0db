"""Lossy WebP by libwebp, always 4:2:0. The setting is its quality, 0 to 100."""

from .pillow import PillowCodec

CODECS = (PillowCodec("webp", "WebP", "WEBP", (1, 5, 10, 20, 40, 60, 75, 85, 90, 95), {"method": 4}, "webp"),)
