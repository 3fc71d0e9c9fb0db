"""Windows on decoded tiles: what a decode keeps of the tiles around a band."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby

import numpy as np

from ..format.geometry import Rect, grid
from ..format.header import Header
from ..images.downscale import cover
from ..images.upscale import squares
from ..runtime.threads import run_parallel


class TileWindow:
    """One plane of the tiles around a band; each tile is decoded once while bands move downwards.

    Args:
        region: all that will ever be asked for, in pixels.
        unit: pixels per position of the plane.
        decode: gives a whole tile, by its number, or None where it has nothing.
        shape, dtype: what the plane has at each position.
    """

    def __init__(
        self,
        header: Header,
        threads: int,
        region: Rect,
        unit: int,
        decode: Callable[[int], np.ndarray | None],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        self._header, self._threads = header, threads
        self._region, self._unit = region.outward(unit), unit
        self._decode, self._shape, self._dtype = decode, shape, dtype
        self._tiles: dict[int, tuple[Rect, np.ndarray | None]] = {}

    def move(self, needed: Rect) -> None:
        """Decodes the tiles that `needed` (pixels) touches; drops the rows above it and all other tiles."""
        cells = list(grid(self._header.bounds, self._header.tile, touching=needed))
        top = needed.outward(self._unit).top
        self._tiles = {number: self._below(top, *self._tiles[number]) for number, _ in cells if number in self._tiles}
        new = [(number, self._place(tile)) for number, tile in cells if number not in self._tiles]
        for _, row in groupby(new, lambda cell: cell[1].top):
            self._decode_row(list(row))

    def _place(self, tile: Rect) -> Rect:
        return tile.outward(self._unit) & self._region

    def _below(self, top: int, place: Rect, part: np.ndarray | None) -> tuple[Rect, np.ndarray | None]:
        """The part of a tile from a row of positions on."""
        if place.top >= top:
            return place, part
        lower = place._replace(top=min(top, place.bottom))
        return lower, None if part is None else part[lower.relative_to(place).slices].copy()

    def _decode_row(self, row: list[tuple[int, Rect]]) -> None:
        """Decodes a row of tiles into one block, whose memory is given back as a whole: that of many small parts never is."""
        bounds = Rect(row[0][1].top, row[0][1].left, row[0][1].bottom, row[-1][1].right)
        block = self._zeros(bounds.height, bounds.width)

        def decode(cell: tuple[int, Rect]) -> tuple[int, tuple[Rect, np.ndarray | None]]:
            number, place = cell
            if (whole := self._decode(number)) is None:
                return number, (place, None)
            part = block[place.relative_to(bounds).slices]
            part[:] = whole[place.relative_to(self._header.place(number).outward(self._unit)).slices]
            return number, (place, part)

        self._tiles |= run_parallel(decode, row, self._threads)

    def _zeros(self, height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, *self._shape), self._dtype)

    def parts(self, window: Rect) -> Iterator[tuple[Rect, np.ndarray]]:
        """Yields the parts of a rectangle of positions that tiles have, with their places."""
        bounds = self._header.bounds
        for number, _ in grid(bounds, self._header.tile, touching=window.scaled(self._unit) & bounds):
            place, part = self._tiles.get(number, (window, None))
            if part is not None and not (shared := place & window).is_empty:
                yield shared, part[shared.relative_to(place).slices]

    def gather(self, window: Rect) -> np.ndarray:
        """Returns a rectangle of positions, with zeros where tiles have nothing."""
        out = self._zeros(window.height, window.width)
        for place, part in self.parts(window):
            out[place.relative_to(window).slices] = part
        return out


class LosslessWindow(TileWindow):
    """Lossless layers of tiles: (h, w, 4), alpha 0 where the transform's pixels are seen."""

    def paint(self, pixels: np.ndarray, shown: Rect, scale: Fraction, alpha: np.ndarray | None = None) -> None:
        """Puts the layers over pixels (h, w, 1 or 3) that show a rectangle at a scale.

        Where that is smaller, they are weighted by the rectangle's alpha, (h, w, 1) of the full size, if there is any.
        """
        chosen = slice(1, 2) if pixels.shape[2] == 1 else slice(3)
        for place, part in self.parts(shown):
            beneath = pixels[place.at(scale).relative_to(shown.at(scale)).slices]
            part = squares(part, scale.numerator)
            weights = None if alpha is None else alpha[place.relative_to(shown).slices]
            cover(beneath, part[..., chosen], part[..., 3:] > 0, scale.denominator, weights)

    def mask(self, shown: Rect) -> np.ndarray | None:
        """Marks the pixels of a rectangle that the layers cover, (h, w, 1) bool; None for none."""
        out = None
        for place, part in self.parts(shown):
            out = np.zeros((shown.height, shown.width, 1), bool) if out is None else out
            out[place.relative_to(shown).slices] = part[..., 3:] > 0
        return out
