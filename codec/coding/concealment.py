"""Error concealment: the list of damaged parts of tiles, and filling them from their neighbours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from ..errors import DamageError
from ..format.geometry import LATENT_STRIDE
from ..format.header import NAMED_PARTS_MAX, Header, Kind, Plane


class Damage:
    """The damaged parts of tiles that one decode comes upon, on any of its threads; messages begin with `file`."""

    def __init__(self, header: Header, file: str = "") -> None:
        self._header, self._file = header, file
        self._parts: set[tuple[int, Plane]] = set()
        self._reported: set[tuple[int, Plane]] = set()

    def note(self, tile: int, plane: Plane) -> None:
        """Remembers that a part is damaged."""
        self._parts.add((tile, plane))

    def has(self, tile: int, plane: Plane) -> bool:
        """True if a part is known to be damaged."""
        return (tile, plane) in self._parts

    def unreported(self) -> str | None:
        """A message of the damaged parts that no earlier one was about, with the places of the first; None for none."""
        new = sorted(self._parts - self._reported, key=lambda part: (part[0], part[1] is Plane.ALPHA))
        if not new:
            return None
        self._reported.update(new)
        named = [self._header.name_part(tile, plane) for tile, plane in new[:NAMED_PARTS_MAX]]
        if len(new) > NAMED_PARTS_MAX:
            count = len({tile for tile, _ in new})
            return f"{self._file}{count} tiles are damaged and filled in; the first are {', '.join(named)}"
        return f"{self._file}{', '.join(named)} {'is' if len(new) == 1 else 'are'} damaged and filled in"


def conceal_latent(number: int, header: Header, decode: Callable[[int], np.ndarray | None]) -> np.ndarray | None:
    """Fills the latent (h, w, N) int32 of a damaged tile from its neighbours'; None where no neighbour has one."""
    latent = _interpolate(number, header, LATENT_STRIDE, decode)
    return None if latent is None else np.rint(latent).astype(np.int32)


def conceal_lossless(
    number: int, header: Header, kind: Callable[[int], Kind], decode: Callable[[int], np.ndarray | None]
) -> np.ndarray | None:
    """Fills the lossless layer (h, w, 4) of a damaged tile from its lossless neighbours, or with gray.

    None where its latent has been filled from its neighbours'.

    Args:
        kind: gives the kind of a tile.
        decode: gives the colours (h, w, 3) of a tile that is wholly lossless, and None for others.
    """
    around = {kind(neighbour) for neighbour in _neighbours(number, header) if neighbour is not None}
    if kind(number) is not Kind.LOSSLESS and around != {Kind.LOSSLESS}:
        return None
    place = header.place(number)
    out = np.full((place.height, place.width, 4), header.largest, header.dtype)
    colours = _interpolate(number, header, 1, decode)
    out[..., :3] = header.largest // 2 + 1 if colours is None else np.rint(colours)
    return out


def conceal_alpha(number: int, header: Header) -> np.ndarray:
    """Alpha (h, w) of a damaged tile: opaque, so that no colours are hidden that are known."""
    place = header.place(number)
    return np.full((place.height, place.width), header.largest, header.dtype)


def _interpolate(number: int, header: Header, unit: int, decode: Callable[[int], np.ndarray | None]) -> np.ndarray | None:
    """Fills a damaged tile, (h, w, C) float32, from the four neighbours' nearest positions, weighted by nearness.

    So there is no step at the tile's edges, and the neighbours' pixels that it influences change little. The result is the
    same whatever region is decoded.

    Args:
        unit: pixels per position.
        decode: gives a tile's positions (h, w, C), or None where it has none; DamageError where it is damaged itself.

    Returns:
        None where no neighbour has any.
    """
    lines = list(_surroundings(number, header, unit, decode))
    if not lines:
        return None
    place = header.place(number).outward(unit)
    total = np.zeros((place.height, place.width, lines[0][0].shape[-1]), np.float32)
    weights = np.zeros((place.height, place.width, 1), np.float32)
    for line, distance in lines:
        total += line / distance
        weights += 1 / distance
    return total / weights


def _surroundings(
    number: int, header: Header, unit: int, decode: Callable[[int], np.ndarray | None]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the lines of positions along a tile's sides, and the distances of the tile's positions from them."""
    place = header.place(number).outward(unit)
    rows = np.arange(1, place.height + 1, dtype=np.float32)[:, None, None]
    across = np.arange(1, place.width + 1, dtype=np.float32)[None, :, None]
    lines = (
        ((slice(-1, None), slice(None)), rows),
        ((slice(0, 1), slice(None)), rows[::-1]),
        ((slice(None), slice(-1, None)), across),
        ((slice(None), slice(0, 1)), across[:, ::-1]),
    )
    for neighbour, (side, distance) in zip(_neighbours(number, header), lines, strict=True):
        if neighbour is not None:
            with contextlib.suppress(DamageError):
                if (positions := decode(neighbour)) is not None:
                    yield positions[side].astype(np.float32), distance


def _neighbours(number: int, header: Header) -> tuple[int | None, ...]:
    """Returns the tiles above, below, to the left and to the right of one, None beyond the picture."""
    columns = -(-header.width // header.tile)
    column = number % columns
    return (
        number - columns if number >= columns else None,
        number + columns if number + columns < header.tile_count else None,
        number - 1 if column > 0 else None,
        number + 1 if column + 1 < columns and number + 1 < header.tile_count else None,
    )
