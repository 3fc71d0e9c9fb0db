"""Geometry of tiles, windows and regions. Pure arithmetic on rectangles."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

LATENT_STRIDE = 16
"""Pixels per position of the latent y."""
HYPER_STRIDE = 64
"""Pixels per position of the hyper-latent z."""


class Rect(NamedTuple):
    """Rows top to bottom - 1 and columns left to right - 1.

    >>> Rect(2, 3, 10, 8).grow(4, Rect(0, 0, 12, 9))
    Rect(top=0, left=0, bottom=12, right=9)
    """

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of_region(cls, x: int, y: int, width: int, height: int) -> Rect:
        """From a corner and sides."""
        return cls(y, x, y + height, x + width)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def is_empty(self) -> bool:
        """True if it has no pixels, as the `&` of two rectangles that do not overlap."""
        return self.height <= 0 or self.width <= 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of the rectangle in an array (rows, columns, …)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grow(self, margin: int, bounds: Rect) -> Rect:
        """Wider by `margin` on every side, within `bounds`."""
        return Rect(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin) & bounds

    def relative_to(self, origin: Rect) -> Rect:
        """The same rectangle with coordinates counted from the top left of `origin`."""
        return Rect(self.top - origin.top, self.left - origin.left, self.bottom - origin.top, self.right - origin.left)

    def margins_in(self, outer: Rect) -> tuple[int, int, int, int]:
        """Margins by which `outer` extends beyond this rectangle: top, left, bottom, right."""
        return self.top - outer.top, self.left - outer.left, outer.bottom - self.bottom, outer.right - self.right

    def outward(self, unit: int) -> Rect:
        """In units of `unit`, rounded outward.

        >>> Rect(15, 16, 17, 32).outward(16)
        Rect(top=0, left=1, bottom=2, right=2)
        """
        return Rect(self.top // unit, self.left // unit, -(-self.bottom // unit), -(-self.right // unit))

    def scaled(self, unit: int) -> Rect:
        """In smaller units, `unit` to each of this rectangle's."""
        return Rect(*(side * unit for side in self))

    def at(self, scale: Fraction) -> Rect:
        """The same place in a picture at a scale of 1/8 to 2, in that picture's pixels, rounded outward.

        >>> Rect(15, 16, 17, 33).at(Fraction(1, 2)), Rect(15, 16, 17, 33).at(Fraction(2))
        (Rect(top=7, left=8, bottom=9, right=17), Rect(top=30, left=32, bottom=34, right=66))
        """
        return self.outward(scale.denominator).scaled(scale.numerator)

    def __and__(self, other: Rect) -> Rect:
        return Rect(
            max(self.top, other.top), max(self.left, other.left), min(self.bottom, other.bottom), min(self.right, other.right)
        )


def grid(bounds: Rect, step: int, touching: Rect | None = None) -> Iterator[tuple[int, Rect]]:
    """Yields cells of `bounds`, from its top left, with their row-major numbers: all, or those that `touching` overlaps.

    >>> list(grid(Rect(0, 0, 5, 9), 4, touching=Rect(4, 3, 5, 5)))
    [(3, Rect(top=4, left=0, bottom=5, right=4)), (4, Rect(top=4, left=4, bottom=5, right=8))]
    """
    columns = -(-bounds.width // step)
    chosen = (bounds if touching is None else touching).relative_to(bounds).outward(step)
    for row in range(chosen.top, chosen.bottom):
        top = bounds.top + row * step
        for column in range(chosen.left, chosen.right):
            left = bounds.left + column * step
            yield row * columns + column, Rect(top, left, top + step, left + step) & bounds


def bands(bounds: Rect, step: int, cells: int, touching: Rect | None = None) -> Iterator[Rect]:
    """Yields whole rows of the grid's cells that `touching` overlaps, as few rows together as make `cells` such cells.

    >>> list(bands(Rect(0, 0, 50, 30), 10, 4, touching=Rect(15, 5, 45, 15)))
    [Rect(top=10, left=0, bottom=30, right=30), Rect(top=30, left=0, bottom=50, right=30)]
    """
    chosen = (bounds if touching is None else touching).relative_to(bounds).outward(step)
    height = -(-cells // chosen.width) * step
    for top in range(bounds.top + chosen.top * step, bounds.top + chosen.bottom * step, height):
        bottom = min(top + height, bounds.top + chosen.bottom * step)
        yield Rect(top, bounds.left, bottom, bounds.right) & bounds
