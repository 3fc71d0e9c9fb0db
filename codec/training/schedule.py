"""Numbers that change at given steps of a training run. Imports no torch."""

from __future__ import annotations

import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class StepSchedule:
    """Numbers, each with the step before which it holds, by ascending steps."""

    stages: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> StepSchedule:
        """Parses "VALUE:STEP,VALUE:STEP,…"; raises ValueError for other text.

        >>> StepSchedule.parse("64:1000,128:3000").at(2000, 256)
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
        """The numbers of all stages."""
        return [value for value, _ in self.stages]

    def at(self, step: int, after: int) -> int:
        """The number that holds at a step; `after` once the schedule has ended."""
        return next((value for value, end in self.stages if step < end), after)


UNCHANGED = StepSchedule()
"""A schedule without stages."""
