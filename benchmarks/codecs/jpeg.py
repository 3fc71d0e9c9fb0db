"""JPEG by libjpeg-turbo. The setting is its quality, 1 to 95."""

from .pillow import PillowCodec

_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_FEATURE = "libjpeg_turbo"

BASELINE = PillowCodec("jpeg", "JPEG 4:2:0", "JPEG", _QUALITIES, feature=_FEATURE)
"""Pillow's default options: 4:2:0, baseline, standard Huffman tables."""

CODECS = (
    BASELINE,
    PillowCodec(
        "jpeg-progressive",
        "JPEG 4:2:0 progressive",
        "JPEG",
        _QUALITIES,
        {"subsampling": "4:2:0", "progressive": True, "optimize": True},
        _FEATURE,
    ),
    PillowCodec("jpeg-444", "JPEG 4:4:4", "JPEG", _QUALITIES, {"subsampling": "4:4:4"}, _FEATURE),
)
