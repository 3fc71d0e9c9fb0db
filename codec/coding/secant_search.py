"""Looks for the place at which a rising function reaches a value, in few tries. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

TRIES_MAX = 12
_APART_MIN = 0.05
"""Places that are nearer to each other are not told apart."""
_JUMP = 5
"""A function that rises by so many times its slope, from a place to another that is less than 1 off, jumps there."""


def secant_search(
    measure: Callable[[float], float], low: float, high: float, *, within: tuple[float, float], start: float, slope: float
) -> dict[float, float]:
    """Values by place of the tries, of which the last lies in `low` to `high` if that has been reached.

    Secants from the tries nearest to the wanted values, on either side of them if there are such, so that a function that is
    nearly straight takes three or four tries; where it falls at places, the tries still end.

    Args:
        within: the first and the last place.
        start: the first try.
        slope: how fast the function is thought to rise, until two tries tell.

    >>> [round(place, 2) for place in secant_search(lambda x: x**2, 48.9, 49.1, within=(0, 10), start=5, slope=10)]
    [5, 7.4, 6.94, 7.0]
    """
    tried: dict[float, float] = {}
    place = start
    while len(tried) < TRIES_MAX:
        place = min(max(place, within[0]), within[1])
        if any(abs(place - other) < _APART_MIN for other in tried):
            break
        tried[place] = measure(place)
        if low <= tried[place] <= high or _jumps(tried, low, high, slope):
            break
        place = _next(tried, (low + high) / 2, within, slope)
    return tried


def _jumps(tried: Mapping[float, float], low: float, high: float, slope: float) -> bool:
    """Whether the function passes over what is wanted without having it anywhere."""
    below = max((place for place, value in tried.items() if value < low), default=-math.inf)
    above = min((place for place, value in tried.items() if value > high and place > below), default=math.inf)
    return above - below < 1 and tried[above] - tried[below] > _JUMP * slope


def _next(tried: Mapping[float, float], wanted: float, within: tuple[float, float], slope: float) -> float:
    """Where to look next for a value."""
    below = max((place for place, value in tried.items() if value < wanted), default=None)
    above = min((place for place, value in tried.items() if value > wanted and (below is None or place > below)), default=None)
    if below is not None and above is not None:
        share = (wanted - tried[below]) / (tried[above] - tried[below])
        # where the function is curved, or jumps, one side would creep
        creeps = len({value < wanted for value in list(tried.values())[-2:]}) == 1
        return below + (above - below) * (0.5 if creeps else min(max(share, 0.1), 0.9))
    nearest = min(tried, key=lambda place: abs(tried[place] - wanted))
    others = [place for place in tried if place != nearest]
    if others:
        other = min(others, key=lambda place: abs(place - nearest))
        measured = (tried[nearest] - tried[other]) / (nearest - other)
        # never so flat that one more try does not reach the end at least
        slope = max(measured, abs(wanted - tried[nearest]) / (within[1] - within[0]))
    return nearest + (wanted - tried[nearest]) / slope


def best(tried: Mapping[float, float], high: float) -> float:
    """The place whose value is nearest to `high` without exceeding it, or else the one of the least value; the first of many.

    >>> best({10: 1.0, 20: 2.0, 30: 3.0}, 2.5), best({10: 1.0, 20: 2.0}, 0.5)
    (20, 10)
    """
    fitting = [place for place, value in tried.items() if value <= high]
    if fitting:
        return max(fitting, key=lambda place: (tried[place], -place))
    return min(tried, key=lambda place: (tried[place], place))
