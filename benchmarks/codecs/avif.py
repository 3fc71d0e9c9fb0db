"""AVIF by libaom. The setting is its quality, 0 to 100; speed 6 is Pillow's default, lower ones search longer."""

from .pillow import PillowCodec

CODECS = tuple(
    PillowCodec(
        f"avif{name}-s{speed}",
        f"AVIF {subsampling} speed {speed}",
        "AVIF",
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
        {"subsampling": subsampling, "speed": speed, "codec": "aom", "max_threads": 1},
        "avif",
    )
    for speed in (6, 2)
    for name, subsampling in (("", "4:2:0"), ("-444", "4:4:4"))
)
