"""The windows in which the synthesis runs, and which pieces of them a region needs. Pure arithmetic on rectangles."""

from __future__ import annotations

from typing import NamedTuple

from ..format.geometry import LATENT_STRIDE, Rect, grid


class Piece(NamedTuple):
    """What is worked on at a time: `core` in latent positions, of which `wanted` (in pixels) is kept."""

    core: Rect
    wanted: Rect


def whole(picture: Rect, side: int, region: Rect) -> list[Piece]:
    """All windows of a side that a region touches."""
    return [Piece(cell.outward(LATENT_STRIDE), cell & region) for _, cell in grid(picture, side, touching=region)]


def parts(picture: Rect, side: int, region: Rect, count: int, shortest: int) -> list[Piece]:
    """No more than a region needs, in pieces up to `side` pixels, and in `count` of them or more if they are not too small.

    They have sides of `shortest` latent positions or more; windows at the picture's end that are narrower stay whole.

    >>> parts(Rect(0, 0, 2048, 2048), 1024, Rect(0, 1000, 300, 1030), 1, 16)
    [Piece(core=Rect(top=0, left=62, bottom=19, right=78), wanted=Rect(top=0, left=1000, bottom=300, right=1030))]
    """
    wide = Rect(0, 0, *(_without_narrow(length, side, shortest) for length in (picture.bottom, picture.right)))
    found = [Piece(core, wanted) for core, wanted in whole(picture, side, region) if wanted & wide != wanted]
    wanted, outer = region & wide, wide.outward(LATENT_STRIDE)
    if not wanted.is_empty:
        for inner in _cut(wanted.outward(LATENT_STRIDE), side // LATENT_STRIDE, count, shortest):
            top, left = min(inner.top, outer.bottom - shortest), min(inner.left, outer.right - shortest)
            core = Rect(top, left, max(inner.bottom, top + shortest), max(inner.right, left + shortest))
            found.append(Piece(core, inner.scaled(LATENT_STRIDE) & wanted))
    return found


def _without_narrow(length: int, side: int, shortest: int) -> int:
    """How far windows reach of which each has `shortest` positions."""
    rest = length % side
    return length - rest if 0 < -(-rest // LATENT_STRIDE) < shortest else length


def _cut(rect: Rect, longest: int, count: int, shortest: int) -> list[Rect]:
    """Halves the largest piece of a rectangle until all have sides up to `longest`, and there are `count` of them."""
    pieces = [rect]
    while True:
        largest = max(pieces, key=lambda piece: piece.height * piece.width)
        longer = max(max(piece.height, piece.width) for piece in pieces)
        if longer > longest:
            largest = next(piece for piece in pieces if max(piece.height, piece.width) == longer)
        elif len(pieces) >= count or max(largest.height, largest.width) < 2 * shortest:
            return pieces
        pieces.remove(largest)
        top, left, bottom, right = largest
        if largest.height >= largest.width:
            middle = (top + bottom) // 2
            pieces += [Rect(top, left, middle, right), Rect(middle, left, bottom, right)]
        else:
            middle = (left + right) // 2
            pieces += [Rect(top, left, bottom, middle), Rect(top, middle, bottom, right)]
