"""What a decode does about damaged parts of tiles: keeps a list of them, and fills their places from what surrounds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import DamageError
from ..format.container import Header, Plane
from ..format.tiling import LATENT_STRIDE

NAMED_MAX = 100
"""Damaged parts that a warning names; of more it says how many."""


class Damage:
    """The damaged parts of tiles that one decode comes upon, on any of its threads."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._found: set[tuple[int, Plane]] = set()
        self._told: set[tuple[int, Plane]] = set()

    def note(self, tile: int, plane: Plane) -> None:
        """Remembers that a part is damaged."""
        self._found.add((tile, plane))

    def warn(self, stacklevel: int = 1) -> None:
        """One RuntimeWarning that names all parts, and where they are, that none has named before."""
        new = sorted(self._found - self._told, key=lambda part: (part[0], part[1] is Plane.ALPHA))
        if not new:
            return
        self._told.update(new)
        named = []
        for tile, plane in new[:NAMED_MAX]:
            place = self._header.place(tile)
            named.append(f"{plane.value} {tile} (x {place.left}, y {place.top}, {place.width} x {place.height})")
        more = f" and {len(new) - NAMED_MAX} more" if len(new) > NAMED_MAX else ""
        verb = "is" if len(new) == 1 else "are"
        warnings.warn(f"{', '.join(named)}{more} {verb} damaged and filled in", RuntimeWarning, stacklevel=stacklevel + 1)


def fill_latent(number: int, header: Header, decode: Callable[[int], Tensor], channels: int) -> Tensor:
    """What stands for a damaged tile's latent, (h, w, N) int32: the four neighbours' nearest positions, the nearer the more.

    So the picture goes on from the tile's edges inwards without a step, and little of the neighbours' pixels changes that
    the tile reaches. Without any sound neighbour all is 0, which is gray. It is the same whatever region is decoded.

    Args:
        decode: gives a tile's latent; DamageError where it has none.
    """
    place = header.place(number).outward(LATENT_STRIDE)
    total = torch.zeros(place.height, place.width, channels, device="cpu")
    weights = torch.zeros(place.height, place.width, 1, device="cpu")
    for line, distance in _surroundings(number, header, decode):
        total += line / distance
        weights += 1 / distance
    return (total / weights.clamp_(min=1e-9)).round_().to(torch.int32)


def _surroundings(number: int, header: Header, decode: Callable[[int], Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """The lines of positions along a tile's sides, and how far each of the tile's positions is from them."""
    place = header.place(number).outward(LATENT_STRIDE)
    columns = -(-header.width // header.tile)
    rows = torch.arange(1.0, place.height + 1)[:, None, None]
    across = torch.arange(1.0, place.width + 1)[None, :, None]
    row, column = divmod(number, columns)
    neighbours = (
        (row > 0, number - columns, (slice(-1, None), slice(None)), rows),
        (number + columns < header.tile_count, number + columns, (slice(0, 1), slice(None)), rows.flip(0)),
        (column > 0, number - 1, (slice(None), slice(-1, None)), across),
        (column + 1 < columns, number + 1, (slice(None), slice(0, 1)), across.flip(1)),
    )
    for exists, neighbour, side, distance in neighbours:
        if exists:
            try:
                yield decode(neighbour)[side].float(), distance
            except DamageError:
                continue
