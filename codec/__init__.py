"""A learned image codec: `encode` a picture to the bytes of a `.cae` file, `decode` them, or ask for their `info`.

Larger pictures: `open` a file to read regions and tiles of it, `create` one to write it row by row.

`Codec` holds weights and settings across calls; `CaeError` is raised for all bad input. Importing this package does not
import torch, which encoding needs, and decoding takes for more than a small picture.
"""

from typing import TYPE_CHECKING

from .errors import CaeError
from .runtime import forking as forking  # watches for forks from here on

if TYPE_CHECKING:
    from .api.codec import Codec
    from .api.functions import create, decode, decode_image, encode, open
    from .format.info import Info, info

__all__ = ["CaeError", "Codec", "Info", "create", "decode", "decode_image", "encode", "info", "open"]
__version__ = "1.0.0rc1"

_FUNCTIONS = ("Codec", "create", "decode", "decode_image", "encode", "open")
_FACTS = ("Info", "info")


def __getattr__(name: str) -> object:
    if name in _FUNCTIONS:
        from .api import functions

        return getattr(functions, name)
    if name in _FACTS:
        from .format import info

        return getattr(info, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
