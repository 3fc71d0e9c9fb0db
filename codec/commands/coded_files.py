"""`.cae` files on disk, written and read in bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..format import container
from ..format.container import Container
from ..images.picture import Picture
from ..images.streams.pieces import Source
from ..options import DecodeOptions, EncodeOptions
from ..outputs import replacing
from . import common

if TYPE_CHECKING:
    from ..api import Codec


def write(path: Path, source: Source, codec: Codec, options: EncodeOptions) -> None:
    """Encodes a source to a file."""
    data = codec.encode_bands(source.bands, (source.width, source.height), source.channels, source.metadata, options)
    with replacing(path) as file:
        file.write(data)


@dataclasses.dataclass(frozen=True)
class CodedFile:
    """A file, of which all but the tiles is checked."""

    path: Path
    data: bytes
    container: Container

    def bands(self, codec: Codec, options: DecodeOptions) -> Iterator[np.ndarray]:
        """Decodes it, or a region, from top to bottom; errors name the file."""
        with common.naming(self.path):
            bands = codec.decode_bands(self.data, options)
        while True:
            with common.naming(self.path):
                band = next(bands, None)
            if band is None:
                return
            yield band

    def picture(self, codec: Codec, options: DecodeOptions) -> Picture:
        """Decodes it, or a region, to a picture in memory."""
        with common.naming(self.path):
            return codec.decode_picture(self.data, options)


def read(path: Path) -> CodedFile:
    """Opens a file; CaeError where it is none, or damaged."""
    data = common.read_bytes(path)
    with common.naming(path):
        return CodedFile(path, data, container.read(data))
