"""The windows in which the synthesis runs, and which pieces of them a region needs. Pure arithmetic on rectangles."""

from __future__ import annotations

from typing import NamedTuple

from ..format.tiling import LATENT_STRIDE, Rect, grid


class Piece(NamedTuple):
    """What is worked on at a time: `core` in latent positions, of which `wanted` (in pixels) is kept."""

    core: Rect
    wanted: Rect


def whole(picture: Rect, side: int, region: Rect) -> list[Piece]:
    """All windows of a side that a region touches."""
    return [Piece(cell.outward(LATENT_STRIDE), cell & region) for _, cell in grid(picture, side, touching=region)]


def parts(picture: Rect, side: int, region: Rect, count: int, shortest: int) -> list[Piece]:
    """Of the windows that a region touches no more than it needs, in `count` pieces or more if they are not too small.

    Sides are of `shortest` latent positions or more, unless the window is narrower.

    >>> parts(Rect(0, 0, 2048, 2048), 1024, Rect(0, 1000, 300, 1030), 1, 16)[1]
    Piece(core=Rect(top=0, left=64, bottom=19, right=80), wanted=Rect(top=0, left=1024, bottom=300, right=1030))
    """
    windows = [cell for _, cell in grid(picture, side, touching=region)]
    step = side
    while True:
        found = [
            Piece(_core(wanted, window, shortest), wanted)
            for window in windows
            for wanted in (cell & region for _, cell in grid(window, step, touching=region & window))
        ]
        if len(found) >= count or step < 2 * shortest * LATENT_STRIDE:
            return found
        step //= 2


def _core(wanted: Rect, window: Rect, shortest: int) -> Rect:
    """The positions that hold what is wanted of a window, and others beside them where these are too few."""
    outer, inner = window.outward(LATENT_STRIDE), wanted.outward(LATENT_STRIDE)
    top = max(outer.top, min(inner.top, outer.bottom - shortest))
    left = max(outer.left, min(inner.left, outer.right - shortest))
    return Rect(top, left, max(inner.bottom, top + shortest), max(inner.right, left + shortest)) & outer
