"""Options of a training run and their defaults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from ..distortion.distortions import DISTORTIONS, Distortion
from ..errors import UsageError
from ..format.geometry import HYPER_STRIDE
from ..options import ENLARGEMENTS, REDUCTIONS
from ..runtime.atomic_write import check_target
from .schedule import UNCHANGED, StepSchedule

AUGMENTATIONS = {"flip": 0.5, "rotate": 1.0, "rescale": 0.2, "noise": 0.08, "plain": 0.05, "drawn": 0.04, "jitter": 0.5}
"""Augmentations by name, each with its usual share of the patches (rotation: by 0 to 3 right angles).

Photographs alone leave networks free to do anything on noise, screens and dithering, so some patches are noisy. Objects before
a plain ground and drawings are rare among photographs, and common among people's pictures.
"""
RESOLUTION_REDUCTION_MAX = 16
FREEZABLE = ("encoder", "decoder", "analysis", "entropy")
"""Parts of a model that can be frozen: see `freezing.freeze`."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `cae-train`; the run's folder holds its state and its log.

    By default the learning rate is 1e-3 for new networks and 5e-4 for trained ones. It falls over the last 25 % of a training
    from nothing, and over the last 80 % of one that starts from weights.
    """

    images: Path
    run: Path
    validation: Path | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    patch: int = 256
    learning_rate: float = None  # type: ignore[assignment]
    decay: float = None  # type: ignore[assignment]
    average: float = 0.999
    device: str = "cpu"
    workers: int = 1
    compile: bool = False
    compiler: str = "inductor"
    seed: int = 0
    start_from: Path | None = None
    grow: bool = False
    reduced: int | None = None
    replay: int = 16
    enlarge: int | None = None
    freeze: str | None = None
    denoise: bool = False
    choose_symbols: bool = False
    loss: str = "mse"
    augment: tuple[str, ...] = ("flip", "rotate", "rescale", "noise", "plain", "drawn")
    overlap: float | None = None
    patch_schedule: StepSchedule = UNCHANGED
    resolution_schedule: StepSchedule = UNCHANGED
    export: Path | None = None
    licence: str = "MIT"
    log_every: int = 100
    save_every_minutes: float = 10
    validate_every: int = 2000
    memory_gib: float = 6
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", 1e-3 if self.start_from is None or self.reduced is not None else 5e-4)
        if self.decay is None:
            object.__setattr__(self, "decay", 0.25 if self.start_from is None else 0.8)
        if self.denoise:
            # noise of augmentation would be in the clean pictures, too
            object.__setattr__(self, "augment", tuple(name for name in self.augment if name != "noise"))

    @property
    def distortion(self) -> Distortion:
        """The distortion that the loss names."""
        return DISTORTIONS[self.loss]

    @property
    def starts_from_finished(self) -> bool:
        """True if the run trains finished weights as they are, not a new or a grown model."""
        return self.start_from is not None and not self.grow

    @property
    def side_step(self) -> int:
        """The sides of patches are multiples of so many pixels."""
        return HYPER_STRIDE * (self.enlarge or 1)

    @property
    def side_min(self) -> int:
        """Pixels that the loss needs of a picture's short side: a multiple of `side_step`."""
        return -(-self.distortion.side * (self.reduced or 1) // self.side_step) * self.side_step

    def check(self) -> None:
        """Raises UsageError for the first rule that the options break."""
        for broken, message in self._rules():
            if broken:
                raise UsageError(message)
        if self.export is not None:
            check_target(self.export)

    def _rules(self) -> Iterator[tuple[bool, str]]:
        """Yields each rule: True if it is broken, and the message."""
        yield (self.steps is None) == (self.minutes is None), "training needs either a number of steps or of minutes"
        numbers = (self.minutes or 0, self.learning_rate, self.memory_gib)
        yield not all(map(math.isfinite, numbers)), "minutes, learning rate and memory must be numbers"
        if self.enlarge is not None:
            yield (
                self.enlarge not in ENLARGEMENTS,
                f"enlarge {self.enlarge}: there is a decoder of {', '.join(map(str, ENLARGEMENTS))} times the size",
            )
            yield (
                not self.starts_from_finished or self.reduced is not None or self.freeze is not None,
                "a decoder that enlarges belongs to finished weights (--start-from, without other kinds of training)",
            )
        yield (
            self.patch < self.side_step or self.patch % self.side_step != 0,
            f"patches of {self.patch} pixels: use a multiple of {self.side_step}",
        )
        positive = (self.batch, self.workers, self.learning_rate, self.memory_gib, self.steps or self.minutes or 0, self.decay)
        yield (
            min(positive) <= 0 or self.decay > 1,
            "batch, workers, budget, learning rate and memory must be positive, the decay more than 0 and at most 1",
        )
        yield self.grow and self.start_from is None, "growing needs weights to start from (--start-from)"
        if self.reduced is not None:
            yield (
                self.reduced not in REDUCTIONS[1:],
                f"reduced {self.reduced}: there are decoders by {', '.join(map(str, REDUCTIONS[1:]))}",
            )
            yield (
                not self.starts_from_finished,
                "a decoder of a reduced size belongs to finished weights (--start-from, without --grow)",
            )
            yield self.replay < 1, f"replay {self.replay}: each batch that is coded serves at least 1 step"
            yield (
                self.patch_schedule != UNCHANGED,
                "a decoder of a reduced size learns from patches of one size (without --patch-schedule)",
            )
        if self.freeze is not None:
            yield self.freeze not in FREEZABLE, f"freeze {self.freeze!r}: there are {', '.join(FREEZABLE)}"
            yield (
                not self.starts_from_finished or self.reduced is not None,
                "a frozen part is one of finished weights (--start-from, without --grow and --reduced)",
            )
        yield self.denoise and self.freeze != "decoder", "denoising is learnt by an encoder alone (--freeze decoder)"
        yield self.loss not in DISTORTIONS, f"loss {self.loss!r}: there are {', '.join(DISTORTIONS)}"
        for side in (*self.patch_schedule.values, self.patch):
            yield (
                side % self.side_step != 0 or side > self.patch,
                f"patches of {side} pixels: use multiples of {self.side_step} up to --patch",
            )
            yield side < self.side_min, f"the loss {self.loss} needs patches of {self.side_min} pixels or more"
        for reduction in self.resolution_schedule.values:
            most = RESOLUTION_REDUCTION_MAX
            yield reduction > most, f"pictures of 1/{reduction} of the size: use at most 1/{most}"
        for name in self.augment:
            yield name not in AUGMENTATIONS, f"augmentation {name!r}: there are {', '.join(AUGMENTATIONS)}"
        yield (
            self.overlap is not None and not 0 <= self.overlap < 1,
            f"patches that overlap by {self.overlap} of a side: use 0 or more, and less than 1",
        )
        yield self.seed < 0, f"seed {self.seed}: use 0 or more"
