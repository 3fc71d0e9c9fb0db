"""AVIF by libaom. The setting is its quality, 0 to 100; speed 6 is Pillow's default, lower ones search longer.

Unless told otherwise, libavif tunes for what people see (`tune=iq`, from 1.4 on). The other two are tuned for a metric each.
"""

from .pillow import PillowCodec


class Avif(PillowCodec):
    """AVIF, which names the version of its encoder too."""

    @property
    def version(self) -> str:
        """Pillow's version, libavif's, libaom's and the options."""
        try:
            from PIL._avif import codec_versions
        except ImportError:
            return super().version
        aom = next((part for part in codec_versions().split(", ") if part.startswith("aom")), "no aom")
        return f"{super().version}, {aom}"


def _avif(name: str, label: str, speed: int, subsampling: str = "4:2:0", tune: str | None = None) -> Avif:
    options: dict[str, object] = {"subsampling": subsampling, "speed": speed, "codec": "aom", "max_threads": 1}
    if tune:
        options["advanced"] = {"tune": tune}
    return Avif(name, label, "AVIF", (10, 20, 30, 40, 50, 60, 70, 80, 90), options, "avif")


CODECS = (
    _avif("avif-s6", "AVIF 4:2:0 speed 6", 6),
    _avif("avif-444-s6", "AVIF 4:4:4 speed 6", 6, "4:4:4"),
    _avif("avif-s2", "AVIF 4:2:0 speed 2", 2),
    _avif("avif-444-s2", "AVIF 4:4:4 speed 2", 2, "4:4:4"),
    _avif("avif-s2-psnr", "AVIF 4:2:0 speed 2, tune=psnr", 2, tune="psnr"),
    _avif("avif-s2-ssimulacra2", "AVIF 4:2:0 speed 2, tune=ssimulacra2", 2, tune="ssimulacra2"),
)
