"""JPEG 2000 by OpenJPEG. The setting is the rate that it aims at, in bits per pixel, 24 of them uncompressed."""

from .pillow import PillowCodec


class Jpeg2000(PillowCodec):
    """Takes the rate as a compression ratio."""

    def arguments(self, setting: float) -> dict[str, object]:
        """One quality layer of 24 / setting to 1."""
        return {"quality_mode": "rates", "quality_layers": [24 / setting]}


CODECS = (
    Jpeg2000(
        "jpeg2000",
        "JPEG 2000",
        "JPEG2000",
        (0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 1.8, 2.5, 3.5),
        # the 9-7 wavelet and the colour transform are off by default, and cost 3 dB when they are; no_jp2: no container
        {"irreversible": True, "mct": 1, "no_jp2": True},
        "jpg_2000",
    ),
)
