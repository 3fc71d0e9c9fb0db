"""JPEG XL by libjxl, through pillow-jxl-plugin. The setting is its quality, 0 to 100; effort 7 is the default."""

from .pillow import PillowCodec


class JpegXl(PillowCodec):
    """JPEG XL without threads of its own."""

    def register(self) -> None:
        """Loads the plugin."""
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = 0


CODECS = (
    JpegXl(
        "jpegxl",
        "JPEG XL",
        "JXL",
        (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
        {"effort": 7, "num_threads": 0},
        plugin="pillow_jxl",
        package="pillow-jxl-plugin",
    ),
)
