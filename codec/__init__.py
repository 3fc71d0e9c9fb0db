"""A learned image codec: `encode` a picture to the bytes of a `.cae` file, `decode` them, ask for their `info`.

`Codec` holds weights and settings across calls; `CaeError` is raised for all bad input. Importing this package does
not import torch: that happens at the first use of anything but `info` and `CaeError`.
"""

from typing import TYPE_CHECKING

from .errors import CaeError
from .format.information import Info, info
from .runtime import forking as forking  # watches for forks from here on

if TYPE_CHECKING:
    from .api import Codec, decode, decode_image, encode

__all__ = ["CaeError", "Codec", "Info", "decode", "decode_image", "encode", "info"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("Codec", "decode", "decode_image", "encode"):
        from .runtime import environment

        environment.prepare()
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
