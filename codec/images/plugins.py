"""Formats that Pillow reads by plugins from other packages."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import re

from PIL import Image
from PIL.EpsImagePlugin import EpsImageFile
from PIL.ImageFile import StubImageFile
from PIL.MpegImagePlugin import MpegImageFile


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A plugin for a format.

    Args:
        label: the format, in messages.
        package: what pip installs.
        module: what Python imports.
        suffixes: those of the format's files, in lower case.
        beginning: matches the first bytes of its files.
        register: the module's function that makes the format known to Pillow; None where importing it does.
    """

    label: str
    package: str
    module: str
    suffixes: frozenset[str]
    beginning: re.Pattern[bytes]
    register: str | None = None

    @property
    def is_installed(self) -> bool:
        """True if the package is installed."""
        return importlib.util.find_spec(self.module) is not None


PLUGINS = (
    Plugin(
        "HEIC",
        "pillow-heif",
        "pillow_heif",
        frozenset({".heic", ".heif", ".hif"}),
        re.compile(rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL),
        "register_heif_opener",
    ),
    Plugin("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", frozenset({".jxl"}), re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
)
PLUGIN_SUFFIXES = frozenset().union(*(plugin.suffixes for plugin in PLUGINS))


@functools.cache
def load_plugins() -> None:
    """Makes the formats known to Pillow whose packages are installed."""
    for plugin in PLUGINS:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(plugin.module)
            if plugin.register:
                getattr(module, plugin.register)()


def readable_suffixes() -> frozenset[str]:
    """Returns the suffixes of image files that Pillow reads, in lower case; those of coded files are left out."""
    load_plugins()
    formats_by_suffix = Image.registered_extensions().items()
    readers = {kind for kind, (factory, _) in Image.OPEN.items() if kind != "CAE" and not _is_stub(factory)}
    return frozenset(suffix for suffix, kind in formats_by_suffix if kind in readers)


def _is_stub(factory: object) -> bool:
    """Returns True if Pillow knows a format by name alone, or needs another program to read it."""
    return factory in (EpsImageFile, MpegImageFile) or (isinstance(factory, type) and issubclass(factory, StubImageFile))
