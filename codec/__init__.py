"""A learned image codec: `encode` a picture to the bytes of a `.cae` file, `decode` them, ask for their `info`.

`Codec` holds weights and settings across calls; `CaeError` is raised for all bad input. Importing this package does
not import torch: that happens at the first use of anything but `info` and `CaeError`.
"""

from typing import TYPE_CHECKING

from .errors import CaeError
from .format.information import Info, info
from .runtime import forking as forking  # watches for forks from here on

if TYPE_CHECKING:
    from types import ModuleType

    from .api import Codec, decode, decode_image, encode

__all__ = ["CaeError", "Codec", "Info", "decode", "decode_image", "encode", "info"]
__version__ = "0.1.0"

_LAZY = ("Codec", "decode", "decode_image", "encode")


def _api() -> "ModuleType":
    from .runtime import environment

    environment.prepare()
    from . import api

    return api


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(_api(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _unpickle(*state: object) -> object:
    """A codec as it was pickled; here, so that the environment is prepared before torch is imported."""
    return _api().codec_again(*state)
