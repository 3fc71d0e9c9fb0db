"""Halos of windows, and how they shrink from layer to layer. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Halo = Sequence[int]
"""Positions at the top, left, bottom and right of a window that are there for the receptive field alone."""


class Shrinking(NamedTuple):
    """Use of a halo by layers: what to leave away `first`, which `sides` shrink meanwhile, and what is `left` after them."""

    first: Halo
    sides: tuple[bool, ...]
    left: Halo


def shrink(halo: Halo, reach: int, later: int) -> Shrinking:
    """Plans how layers that reach so many positions use up a halo, of which following layers reach `later`.

    Where a side's halo is narrower than what is needed, the picture ends there, and all of it counts to the end: it is left
    away after the last layers.
    """
    need = reach + later
    sides = tuple(side >= need for side in halo)
    first = tuple(side - need if shrinks else 0 for side, shrinks in zip(halo, sides, strict=True))
    return Shrinking(first, sides, tuple(later if shrinks else side for side, shrinks in zip(halo, sides, strict=True)))
