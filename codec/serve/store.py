"""Open pictures, and their tiles as PNG files."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ..api.codec import Codec
from ..api.reader import PictureReader
from ..errors import CaeError
from ..images.colour_space import with_png_chunks
from ..images.metadata import orientation
from ..images.orientation import turn
from ..images.samples import converted, squeeze_gray
from ..metadata import COLOUR_SPACE, ICC_PROFILE
from ..options import REDUCTIONS, Region
from ..runtime.tile_cache import TileCache
from . import levels
from .overview import REDUCTION, Overview, OverviewBuilder, reduce_repeatedly

OPEN_MAX = 8
"""Pictures that stay open."""
OVERVIEW_BYTES = 2**28
DECODED_MAX = (4 * (levels.TILE_SIDE + 2 * levels.OVERLAP)) ** 2
"""Most pixels that are decoded for a tile. Tiles that show more wait for the overview."""
THUMBNAIL_SIDE = 320
"""Longest side of a thumbnail in pixels."""
CHECK_SIDE = 8
"""Side in pixels of the squares on which transparent pictures are shown."""
CHECK_GRAYS = 102, 153
PROFILE_MAX = 2**20
"""Largest ICC profile, in bytes, that is put into each tile."""
_DEGREES = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
"""Degrees to turn a picture clockwise, by EXIF orientation."""
_MIRRORED = (2, 4, 5, 7)
"""EXIF orientations of pictures whose left and right are exchanged, once they are turned."""


class OpenPicture:
    """An open picture, its overview, and the version of its file."""

    def __init__(self, reader: PictureReader, version: str, overview: Overview) -> None:
        self.reader, self.version, self.overview = reader, version, overview

    @property
    def degrees(self) -> int:
        """Degrees by which to turn the picture clockwise: 0, 90, 180 or 270."""
        return _DEGREES.get(orientation(self.reader.metadata), 0)

    @property
    def is_mirrored(self) -> bool:
        """True if the picture's left and right are to be exchanged after it is turned."""
        return orientation(self.reader.metadata) in _MIRRORED

    def encode_png(self, pixels: np.ndarray) -> bytes:
        """Encodes pixels (h, w, channels) uint8 as a PNG file, with the picture's colour space.

        An ICC profile is left out where it is too large.
        """
        out = io.BytesIO()
        profile = self.reader.metadata.get(ICC_PROFILE.name, b"")
        profile = profile if len(profile) <= PROFILE_MAX else b""
        Image.fromarray(squeeze_gray(pixels)).save(
            out, "png", compress_level=1, **({ICC_PROFILE.pillow_key: profile} if profile else {})
        )
        colour_space = {section.name: self.reader.metadata.get(section.name, b"") for section in COLOUR_SPACE}
        return with_png_chunks(out.getvalue(), colour_space)

    def read(self, region: Region, factor: int) -> np.ndarray:
        """Returns a region at 1 / `factor` of its size, from the overview if that has it: (h, w, channels) uint8."""
        pixels = self.overview.crop(region, factor)
        if pixels is None:
            # browsers show 8 bits
            pixels = converted(self.reader.read(region, 1 / min(factor, REDUCTION)), self.reader.depth, 8)
            pixels = reduce_repeatedly(pixels.reshape(*pixels.shape[:2], -1), max(1, factor // REDUCTION))
        return pixels


class PictureStore:
    """Opens pictures, encodes their tiles and keeps both, within bounds. Safe to use from several threads.

    Args:
        codec: decodes the pictures.
        cache: bytes of PNG tiles to keep.
        overview_bytes: bytes of overviews to keep, those of open pictures among them.
    """

    def __init__(self, codec: Codec, cache: int, overview_bytes: int = OVERVIEW_BYTES) -> None:
        self._codec = codec
        self._tiles = TileCache(cache)
        self._overview_bytes = overview_bytes
        self._open: OrderedDict[Path, OpenPicture] = OrderedDict()
        self._overviews: OrderedDict[tuple[Path, str], Overview] = OrderedDict()
        """Also of pictures that are not open any more: to build one takes minutes."""
        self._lock = threading.Lock()
        self._builder = OverviewBuilder()

    def open(self, path: Path) -> OpenPicture:
        """Opens the present version of a file; raises CaeError if it is no `.cae` file."""
        try:
            status = path.stat()
        except OSError as error:
            raise CaeError(f"{path.name}: {error.strerror or error}") from None
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        with self._lock:
            picture = self._open.get(path)
            if picture is None or picture.version != version:
                reader = self._codec.open(path, on_error="fill", cache=2**27)
                overview = self._overviews.get((path, version)) or Overview(reader)
                self._open[path] = picture = OpenPicture(reader, version, overview)
                self._keep_overview((path, version), overview)
            self._open.move_to_end(path)
            # a picture that leaves is closed once nobody reads it
            while len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
        return picture

    def _keep_overview(self, key: tuple[Path, str], overview: Overview) -> None:
        self._overviews[key] = overview
        self._overviews.move_to_end(key)
        size = sum(each.pixels.nbytes for each in self._overviews.values())
        while size > self._overview_bytes and len(self._overviews) > 1:
            size -= self._overviews.popitem(last=False)[1].pixels.nbytes

    def request_overview(self, picture: OpenPicture) -> None:
        """Has a picture's overview built."""
        if picture.overview.done < 1:
            self._builder.request(picture.overview)

    def tile(self, path: Path, picture: OpenPicture, region: Region, factor: int, *, on_checks: bool = False) -> bytes | None:
        """Returns a region at 1 / `factor` of its size as a PNG file; None if it is so large that it waits for the overview.

        With `on_checks`, transparent pixels show a checkerboard, so that nothing beneath the tile shines through.

        Raises:
            CaeError: if the overview cannot be built since the file is damaged.
        """
        if not _is_quick(region) and picture.overview.crop(region, factor) is None:
            if picture.overview.error:
                raise picture.overview.error
            self.request_overview(picture)
            return None
        key = path, picture.version, region, factor, on_checks

        def make() -> bytes:
            pixels = picture.read(region, factor)
            corner = region[0] // factor, region[1] // factor
            return picture.encode_png(put_on_checks(pixels, corner) if on_checks else pixels)

        return self._cached(key, make)

    def overview(self, picture: OpenPicture) -> bytes:
        """Returns the small overview, finished or not, as a PNG file; transparent pixels show a checkerboard."""
        return picture.encode_png(put_on_checks(picture.overview.small(), (0, 0)))

    def thumbnail(self, path: Path) -> bytes:
        """Returns a small upright picture as a PNG file, from the overview if the picture takes long to decode."""
        picture = self.open(path)
        size = picture.reader.size
        whole = 0, 0, *size
        if not _is_quick(whole) and picture.overview.done < 1:
            self.request_overview(picture)
            return _thumbnail(picture, picture.overview.small())
        factor = max(factor for factor in REDUCTIONS if factor == 1 or max(size) >= factor * THUMBNAIL_SIDE)
        return self._cached((path, picture.version), lambda: _thumbnail(picture, picture.read(whole, factor)))

    def _cached(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        with self._builder.paused():
            return bytes(self._tiles.get(key, lambda: memoryview(make())))


def put_on_checks(pixels: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Puts a picture (h, w, 1 to 4) uint8 on a checkerboard: (h, w, 1 or 3), opaque.

    Args:
        pixels: the picture, or a part of it.
        corner: x and y of its first pixel, so that the squares of neighbours meet.
    """
    if pixels.shape[2] in (1, 3):
        return pixels
    height, width = pixels.shape[:2]
    rows = (corner[1] + np.arange(height)) // CHECK_SIDE
    columns = (corner[0] + np.arange(width)) // CHECK_SIDE
    checks = np.where((rows[:, None] + columns) % 2, *CHECK_GRAYS)[..., None]
    colours, alpha = pixels[..., :-1].astype(np.uint32), pixels[..., -1:].astype(np.uint32)
    return ((colours * alpha + checks * (255 - alpha) + 127) // 255).astype(np.uint8)


def _is_quick(region: Region) -> bool:
    return region[2] * region[3] <= DECODED_MAX


def _thumbnail(picture: OpenPicture, pixels: np.ndarray) -> bytes:
    image = Image.fromarray(squeeze_gray(pixels))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    reduced = np.asarray(image).reshape(image.height, image.width, -1)
    return picture.encode_png(turn(reduced, orientation(picture.reader.metadata)))
