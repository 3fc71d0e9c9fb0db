"""The levels of a Deep Zoom pyramid: from one pixel, level 0, each has twice the sides of the one before."""

from __future__ import annotations

from ..options import Region

TILE = 512
"""Side of a tile in pixels."""
OVERLAP = 1
"""Pixels of its neighbours that a tile has as well; without any, viewers stretch tiles to hide seams."""


def level_count(size: tuple[int, int]) -> int:
    """How many levels a picture of a size has.

    >>> level_count((1, 1)), level_count((1000, 1025))
    (1, 12)
    """
    return (max(size) - 1).bit_length() + 1


def factor_of(size: tuple[int, int], level: int) -> int:
    """How many times smaller than the picture a level is."""
    return 2 ** (level_count(size) - 1 - level)


def region_of(size: tuple[int, int], level: int, column: int, row: int) -> Region | None:
    """What of the picture a tile shows; None where there is no such tile.

    >>> region_of((1000, 600), 9, 0, 0), region_of((1000, 600), 10, 1, 1)
    ((0, 0, 1000, 600), (511, 511, 489, 89))
    """
    if not 0 <= level < level_count(size) or min(column, row) < 0:
        return None
    factor = factor_of(size, level)
    sides = []
    for place, length in zip((column, row), size, strict=True):
        if place * TILE * factor >= length:
            return None
        first = max(0, place * TILE - OVERLAP) * factor
        sides.append((first, min(length, ((place + 1) * TILE + OVERLAP) * factor) - first))
    (x, width), (y, height) = sides
    return x, y, width, height


def description(size: tuple[int, int]) -> str:
    """The Deep Zoom image descriptor."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="{OVERLAP}" TileSize="{TILE}">'
        f'<Size Width="{size[0]}" Height="{size[1]}"/></Image>\n'
    )
