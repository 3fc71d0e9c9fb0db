"""Values that change at given steps of a training run. Knows no torch."""

from __future__ import annotations

import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Numbers, each with the step before which it holds, in the order of these steps."""

    stages: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """From "VALUE:STEP,VALUE:STEP,…"; ValueError where that is none.

        >>> Schedule.parse("64:1000,128:3000").at(2000, 256)
        128
        """
        stages = [tuple(map(int, stage.split(":"))) for stage in text.split(",")]
        if any(len(stage) != 2 for stage in stages):
            raise ValueError("not VALUE:STEP,…")
        ends = [0, *(end for _, end in stages)]
        if any(end <= before for before, end in itertools.pairwise(ends)) or any(value < 1 for value, _ in stages):
            raise ValueError("values must be positive, and steps ascend")
        return cls(tuple(stages))

    @property
    def values(self) -> list[int]:
        """Its numbers."""
        return [value for value, _ in self.stages]

    def at(self, step: int, after: int) -> int:
        """What holds at a step: a number of the schedule, or `after` once that is over."""
        return next((value for value, end in self.stages if step < end), after)


UNCHANGED = Schedule()
"""Without numbers of its own."""
