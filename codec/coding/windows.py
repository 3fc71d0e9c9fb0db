"""Windows of the synthesis, and the pieces of them that a region needs. Pure arithmetic on rectangles."""

from __future__ import annotations

from typing import NamedTuple

from ..format.geometry import LATENT_STRIDE, Rect, grid


class Piece(NamedTuple):
    """A unit of work: latent positions `core`, and the part `kept` (in pixels) of their synthesis."""

    core: Rect
    kept: Rect


def whole(picture: Rect, side: int, region: Rect) -> list[Piece]:
    """Returns all windows of a side that a region touches."""
    return [Piece(cell.outward(LATENT_STRIDE), cell & region) for _, cell in grid(picture, side, touching=region)]


def parts(picture: Rect, side: int, region: Rect, count: int, shortest: int) -> list[Piece]:
    """Covers a region, and little more, with pieces of up to `side` pixels: `count` or more of them if they get not too small.

    They have sides of `shortest` latent positions or more; windows at the picture's end that are narrower stay whole.

    >>> parts(Rect(0, 0, 2048, 2048), 1024, Rect(0, 1000, 300, 1030), 1, 16)
    [Piece(core=Rect(top=0, left=62, bottom=19, right=78), kept=Rect(top=0, left=1000, bottom=300, right=1030))]
    """
    wide = Rect(0, 0, *(_without_narrow(length, side, shortest) for length in (picture.bottom, picture.right)))
    pieces = [piece for piece in whole(picture, side, region) if piece.kept & wide != piece.kept]
    rest, outer = region & wide, wide.outward(LATENT_STRIDE)
    if not rest.is_empty:
        for inner in _cut(rest.outward(LATENT_STRIDE), side // LATENT_STRIDE, count, shortest):
            top, left = min(inner.top, outer.bottom - shortest), min(inner.left, outer.right - shortest)
            core = Rect(top, left, max(inner.bottom, top + shortest), max(inner.right, left + shortest))
            pieces.append(Piece(core, inner.scaled(LATENT_STRIDE) & rest))
    return pieces


def _without_narrow(length: int, side: int, shortest: int) -> int:
    """Returns a side without its last window if that has fewer than `shortest` positions."""
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
