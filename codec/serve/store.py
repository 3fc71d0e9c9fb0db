"""The pictures that are being looked at, and their tiles as PNG files."""

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
from ..images.picture import orientation
from ..images.samples import converted
from ..options import REDUCTIONS, Region
from ..runtime.tile_cache import TileCache
from . import levels
from .overview import SCALE, Builder, Overview, halved

OPEN_MAX = 8
"""Pictures that stay open."""
WORK_MAX = (4 * (levels.TILE + 2 * levels.OVERLAP)) ** 2
"""Pixels that are decoded for a tile at most; what shows more waits for the overview."""
THUMBNAIL = 320
"""Longest side of a thumbnail in pixels."""
PROFILE_MAX = 2**20
"""Bytes of a colour profile that every tile carries."""
_DEGREES = {3: 180, 6: 90, 8: 270}
"""How far to turn a picture clockwise, by its EXIF orientation; mirrored ones are left as they are."""


class Shown:
    """An open picture, its overview, and which version of the file it is."""

    def __init__(self, picture: PictureReader, version: str) -> None:
        self.picture, self.version = picture, version
        self.overview = Overview(picture)

    @property
    def degrees(self) -> int:
        """How far the picture is to be turned clockwise to be upright."""
        return _DEGREES.get(orientation(self.picture.metadata), 0)

    def png(self, pixels: np.ndarray) -> bytes:
        """Pixels as the bytes of a PNG file, with the picture's colour profile unless that is huge."""
        out = io.BytesIO()
        profile = self.picture.metadata.get("iccp", b"")
        profile = profile if len(profile) <= PROFILE_MAX else b""
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[2:] == (1,) else pixels).save(
            out, "png", compress_level=1, **({"icc_profile": profile} if profile else {})
        )
        return out.getvalue()


class Store:
    """Opens pictures, makes their tiles and keeps both, within bounds. Safe to use from several threads at once.

    Args:
        cache: bytes of tiles that are kept as PNG files.
    """

    def __init__(self, codec: Codec, cache: int) -> None:
        self._codec = codec
        self._tiles = TileCache(cache)
        self._shown: OrderedDict[Path, Shown] = OrderedDict()
        self._lock = threading.Lock()
        self._builder = Builder()

    def open(self, path: Path) -> Shown:
        """The picture of a file as it is now; CaeError where it is none."""
        try:
            status = path.stat()
        except OSError as error:
            raise CaeError(f"{path.name}: {error.strerror or error}") from None
        version = f"{status.st_mtime_ns:x}-{status.st_size:x}"
        with self._lock:
            shown = self._shown.get(path)
            if shown is None or shown.version != version:
                self._shown[path] = shown = Shown(self._codec.open(path, on_error="fill", cache=2**27), version)
            self._shown.move_to_end(path)
            # those that leave are closed when nobody reads them any more
            while len(self._shown) > OPEN_MAX:
                self._shown.popitem(last=False)
        return shown

    def want_overview(self, shown: Shown) -> None:
        """Has a picture's overview made."""
        if shown.overview.done < 1:
            self._builder.want(shown.overview)

    def tile(self, path: Path, shown: Shown, region: Region, factor: int) -> bytes | None:
        """A region at 1 / `factor` of the size as a PNG file; None where it shows so much that it has to wait for the overview.

        CaeError where the file is damaged.
        """
        if not _is_quick(region) and shown.overview.part(region, factor) is None:
            if shown.overview.error:
                raise shown.overview.error
            self.want_overview(shown)
            return None
        return self._kept((path, shown.version, region, factor), lambda: shown.png(_pixels(shown, region, factor)))

    def overview(self, shown: Shown) -> bytes:
        """The overview as far as it has come, at its small size, as a PNG file."""
        return shown.png(shown.overview.small())

    def thumbnail(self, path: Path) -> bytes:
        """A small upright picture as a PNG file, from the overview where it takes long to decode."""
        shown = self.open(path)
        whole = 0, 0, *shown.picture.size
        if not _is_quick(whole) and shown.overview.done < 1:
            self.want_overview(shown)
            return _thumbnail(shown, shown.overview.small())
        factor = max(factor for factor in REDUCTIONS if factor == 1 or max(shown.picture.size) >= factor * THUMBNAIL)
        return self._kept((path, shown.version), lambda: _thumbnail(shown, _pixels(shown, whole, factor)))

    def _kept(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        with self._builder.giving_way():
            return bytes(self._tiles.get(key, lambda: memoryview(make())))


def _is_quick(region: tuple[int, ...]) -> bool:
    return region[2] * region[3] <= WORK_MAX


def _pixels(shown: Shown, region: tuple[int, ...], factor: int) -> np.ndarray:
    """A region at 1 / `factor` of the size, from the overview where that has it."""
    found = shown.overview.part(region, factor)
    if found is None:
        # as browsers show it
        pixels = converted(shown.picture.read(region, 1 / min(factor, SCALE)), shown.picture.depth, 8)
        found = halved(pixels.reshape(*pixels.shape[:2], -1), max(1, factor // SCALE))
    return found


def _thumbnail(shown: Shown, pixels: np.ndarray) -> bytes:
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    turned = np.rot90(np.asarray(image), -shown.degrees // 90)
    return shown.png(turned.reshape(*turned.shape[:2], -1))
