"""HEIC (HEVC) by x265, through pillow-heif. The setting is its quality, 0 to 100."""

from .pillow import PillowCodec


class Heic(PillowCodec):
    """HEIC, 4:2:0."""

    def register(self) -> None:
        """Loads the plugin."""
        import pillow_heif

        pillow_heif.register_heif_opener()


CODECS = (
    Heic(
        "heic",
        "HEIC",
        "HEIF",
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
        # x265's threads cost bytes, in a number that depends on the machine
        {"enc_params": {"chroma": "420", "x265:pools": "none"}},
        plugin="pillow_heif",
        package="pillow-heif",
    ),
)
