"""What a decode does about damaged parts of tiles: keeps a list of them, and fills their places from what surrounds them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import DamageError
from ..format.header import Header, Plane

NAMED_MAX = 100
"""Damaged parts that a warning names; of more it says how many."""


class Damage:
    """The damaged parts of tiles that one decode comes upon, on any of its threads; `file` begins what is said of them."""

    def __init__(self, header: Header, file: str = "") -> None:
        self._header, self._file = header, file
        self._parts: set[tuple[int, Plane]] = set()
        self._reported: set[tuple[int, Plane]] = set()

    def note(self, tile: int, plane: Plane) -> None:
        """Remembers that a part is damaged."""
        self._parts.add((tile, plane))

    def has(self, tile: int, plane: Plane) -> bool:
        """Whether a part is known to be damaged."""
        return (tile, plane) in self._parts

    def unreported(self) -> str | None:
        """A message that names the damaged parts, and where they are, that no earlier one has named; None for none."""
        new = sorted(self._parts - self._reported, key=lambda part: (part[0], part[1] is Plane.ALPHA))
        if not new:
            return None
        self._reported.update(new)
        named = []
        for tile, plane in new[:NAMED_MAX]:
            place = self._header.place(tile)
            named.append(f"{plane.value} {tile} (x {place.left}, y {place.top}, {place.width} x {place.height})")
        more = f" and {len(new) - NAMED_MAX} more" if len(new) > NAMED_MAX else ""
        verb = "is" if len(new) == 1 else "are"
        return f"{self._file}{', '.join(named)}{more} {verb} damaged and filled in"


def conceal(number: int, header: Header, unit: int, decode: Callable[[int], Tensor | None]) -> Tensor | None:
    """What stands for a damaged tile, (h, w, C) float: the four neighbours' nearest positions, the nearer the more.

    So the picture goes on from the tile's edges inwards without a step, and little of the neighbours' pixels changes that
    the tile reaches. It is the same whatever region is decoded.

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
    total = torch.zeros(place.height, place.width, lines[0][0].shape[-1], device="cpu")
    weights = torch.zeros(place.height, place.width, 1, device="cpu")
    for line, distance in lines:
        total += line / distance
        weights += 1 / distance
    return total / weights


def _surroundings(
    number: int, header: Header, unit: int, decode: Callable[[int], Tensor | None]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The lines of positions along a tile's sides, and how far each of the tile's positions is from them."""
    place = header.place(number).outward(unit)
    rows = torch.arange(1.0, place.height + 1)[:, None, None]
    across = torch.arange(1.0, place.width + 1)[None, :, None]
    lines = (
        ((slice(-1, None), slice(None)), rows),
        ((slice(0, 1), slice(None)), rows.flip(0)),
        ((slice(None), slice(-1, None)), across),
        ((slice(None), slice(0, 1)), across.flip(1)),
    )
    for neighbour, (side, distance) in zip(neighbours(number, header), lines, strict=True):
        if neighbour is not None:
            with contextlib.suppress(DamageError):
                if (found := decode(neighbour)) is not None:
                    yield found[side].float(), distance


def neighbours(number: int, header: Header) -> tuple[int | None, ...]:
    """The tiles above, below, to the left and to the right of one, None beyond the picture."""
    columns = -(-header.width // header.tile)
    column = number % columns
    return (
        number - columns if number >= columns else None,
        number + columns if number + columns < header.tile_count else None,
        number - 1 if column > 0 else None,
        number + 1 if column + 1 < columns and number + 1 < header.tile_count else None,
    )
