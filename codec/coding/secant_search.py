"""Secant search: where a rising function reaches a value, in few tries. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

TRIES_MAX = 12
_APART_MIN = 0.05
"""Places nearer to each other than this count as one."""
_JUMP = 5
"""A function jumps between two places less than 1 apart where it rises by so many times its slope."""


def secant_search(
    measure: Callable[[float], float], low: float, high: float, *, within: tuple[float, float], start: float, slope: float
) -> dict[float, float]:
    """Tries places until a value lies in `low` to `high`; returns the values of all tries by place.

    Secants go through the tries nearest to the goal, on either side of it if possible: a function that is nearly straight
    takes three or four tries. The tries end also where the function is not rising everywhere.

    Args:
        within: the first and the last place.
        start: the first try.
        slope: estimate of the function's slope, until two tries show it.

    >>> [round(place, 2) for place in secant_search(lambda x: x**2, 48.9, 49.1, within=(0, 10), start=5, slope=10)]
    [5, 7.4, 6.94, 7.0]
    """
    values: dict[float, float] = {}
    place = start
    while len(values) < TRIES_MAX:
        place = min(max(place, within[0]), within[1])
        if any(abs(place - other) < _APART_MIN for other in values):
            break
        values[place] = measure(place)
        if low <= values[place] <= high or _jumps(values, low, high, slope):
            break
        place = _next(values, (low + high) / 2, within, slope)
    return values


def _jumps(values: Mapping[float, float], low: float, high: float, slope: float) -> bool:
    """True if the function jumps over the range from `low` to `high`."""
    below = max((place for place, value in values.items() if value < low), default=-math.inf)
    above = min((place for place, value in values.items() if value > high and place > below), default=math.inf)
    return above - below < 1 and values[above] - values[below] > _JUMP * slope


def _next(values: Mapping[float, float], goal: float, within: tuple[float, float], slope: float) -> float:
    """The next place to try."""
    below = max((place for place, value in values.items() if value < goal), default=None)
    above = min((place for place, value in values.items() if value > goal and (below is None or place > below)), default=None)
    if below is not None and above is not None:
        share = (goal - values[below]) / (values[above] - values[below])
        # where the function is curved, or jumps, one side would creep
        creeps = len({value < goal for value in list(values.values())[-2:]}) == 1
        return below + (above - below) * (0.5 if creeps else min(max(share, 0.1), 0.9))
    nearest = min(values, key=lambda place: abs(values[place] - goal))
    others = [place for place in values if place != nearest]
    if others:
        other = min(others, key=lambda place: abs(place - nearest))
        measured = (values[nearest] - values[other]) / (nearest - other)
        # never so flat that one more try does not reach the end at least
        slope = max(measured, abs(goal - values[nearest]) / (within[1] - within[0]))
    return nearest + (goal - values[nearest]) / slope


def best(values: Mapping[float, float], high: float) -> float:
    """Returns the first place whose value is nearest to `high` without exceeding it, or else that of the least value.

    >>> best({10: 1.0, 20: 2.0, 30: 3.0}, 2.5), best({10: 1.0, 20: 2.0}, 0.5)
    (20, 10)
    """
    fitting = [place for place, value in values.items() if value <= high]
    if fitting:
        return max(fitting, key=lambda place: (values[place], -place))
    return min(values, key=lambda place: (values[place], place))
