"""The levels of a Deep Zoom pyramid. Level 0 is one pixel; each further level doubles both sides."""

from __future__ import annotations

from ..options import Region

TILE_SIDE = 512
"""Side of a tile in pixels."""
OVERLAP = 1
"""Pixels of its neighbours that a tile includes. Without them, viewers stretch tiles to hide seams."""


def level_count(size: tuple[int, int]) -> int:
    """Returns the number of levels of a picture (width, height).

    >>> level_count((1, 1)), level_count((1000, 1025))
    (1, 12)
    """
    return (max(size) - 1).bit_length() + 1


def reduction(size: tuple[int, int], level: int) -> int:
    """Returns the factor by which a level is smaller than the picture (width, height)."""
    return 2 ** (level_count(size) - 1 - level)


def tile_region(size: tuple[int, int], level: int, column: int, row: int) -> Region | None:
    """Returns a tile's region in pixels of the full picture; None if there is no such tile.

    >>> tile_region((1000, 600), 9, 0, 0), tile_region((1000, 600), 10, 1, 1)
    ((0, 0, 1000, 600), (511, 511, 489, 89))
    """
    if not 0 <= level < level_count(size) or min(column, row) < 0:
        return None
    factor = reduction(size, level)
    spans = []
    for index, length in zip((column, row), size, strict=True):
        if index * TILE_SIDE * factor >= length:
            return None
        first = max(0, index * TILE_SIDE - OVERLAP) * factor
        spans.append((first, min(length, ((index + 1) * TILE_SIDE + OVERLAP) * factor) - first))
    (x, width), (y, height) = spans
    return x, y, width, height


def descriptor(size: tuple[int, int]) -> str:
    """Returns the Deep Zoom image descriptor, in XML."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="{OVERLAP}" TileSize="{TILE_SIDE}">'
        f'<Size Width="{size[0]}" Height="{size[1]}"/></Image>\n'
    )
