"""`.cae` files on disk, written and read in bands."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cli.messages import prefix_errors
from ..format import container
from ..format.header import MODES, Header
from ..format.sources import open_source
from ..images.picture import Picture, from_array
from ..images.streams.pieces import Source
from ..options import TARGETS, DecodeOptions, EncodeOptions
from ..runtime.atomic_write import atomic_write

if TYPE_CHECKING:
    from ..api.codec import Codec


def write(
    path: Path,
    source: Source,
    codec: Codec,
    options: EncodeOptions,
    count_searched: Callable[[float], None] | None = None,
) -> None:
    """Encodes a source to a file; with a target, as a whole in memory.

    `count_searched` is told of pixels as the search for their symbols goes on, on any thread.
    """
    depth = options.depth_of(source.depth)
    keywords = dataclasses.asdict(options) | {"depth": depth}
    if options.has_target:
        pixels = np.concatenate(list(source.bands))
        largest = int(pixels[..., : source.channels - (source.channels in (2, 4))].max())
        data = codec.encode(pixels, metadata=source.metadata, progress=count_searched, **keywords)
        with atomic_write(path) as file:
            file.write(data)
    else:
        keywords = {name: value for name, value in keywords.items() if name not in TARGETS}
        size, mode = (source.width, source.height), MODES[source.channels]
        with codec.create(path, size, mode, metadata=source.metadata, progress=count_searched, **keywords) as out:
            for rows in source.bands:
                out.write(rows)
        largest = out.largest_sample
    if bits := options.likely_depth(largest, depth):
        message = f"{path}: no sample of its colours is above {largest} of 65535; if they have {bits} bits, say --depth {bits}"
        warnings.warn(f"{message} for a finer picture", RuntimeWarning, stacklevel=2)


@dataclasses.dataclass(frozen=True)
class CodedFile:
    """A file, of which all but the tiles is checked."""

    path: Path
    header: Header
    metadata: dict[str, bytes]

    def has_decoder(self, codec: Codec, options: DecodeOptions) -> bool:
        """Whether a decoder of the weights makes pixels of the size that is asked for."""
        with codec.open(self.path, on_error=options.on_error) as picture:
            return options.scale in picture.scales

    def bands(self, codec: Codec, options: DecodeOptions) -> Iterator[np.ndarray]:
        """Decodes it, or a region, from top to bottom: (rows, width, channels)."""
        with codec.open(self.path, on_error=options.on_error) as picture:
            for rows in picture.bands(options.region, options.scale):
                yield rows.reshape(*rows.shape[:2], self.header.channels)

    def picture(self, codec: Codec, options: DecodeOptions) -> Picture:
        """Decodes it, or a region, to a picture in memory."""
        with codec.open(self.path, on_error=options.on_error) as picture:
            pixels = picture.read(options.region, options.scale)
            return dataclasses.replace(from_array(pixels, self.header.depth), metadata=self.metadata)


def facts(path: Path) -> dict[str, Any]:
    """What is told of a file that was made."""
    header, size = read(path).header, path.stat().st_size
    told = {"width": header.width, "height": header.height, "mode": header.mode}
    told |= {"depth": header.depth, "quality": header.quality}
    return told | {"tile": header.tile, "bytes": size, "bits_per_pixel": size * 8 / (header.width * header.height)}


def read(path: Path, *, cut_off: bool = False) -> CodedFile:
    """What a file says of itself; CaeError where it is none, or damaged, or cut off unless that may be."""
    with open_source(path) as source, prefix_errors(path):
        file = container.read(source, cut_off=cut_off)
        return CodedFile(path, file.header, dict(file.metadata))
