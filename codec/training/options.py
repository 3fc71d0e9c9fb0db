"""What a training run can be told."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from ..errors import CaeError
from ..format.geometry import HYPER_STRIDE
from ..options import REDUCTIONS
from ..runtime.atomic_write import check_target
from .distortions import DISTORTIONS, Distortion
from .schedule import UNCHANGED, Schedule

AUGMENTATIONS = {"flip": 0.5, "rotate": 1.0, "rescale": 0.2, "noise": 0.08, "plain": 0.05, "drawn": 0.04, "jitter": 0.5}
"""Names of what may be done to patches, and to which share of them (rotation: by 0 to 3 right angles).

Noise: photographs alone leave networks free to do anything on noise, screens and dithering. What is cut
out before a plain ground, or drawn on, is rare among them, and common among people's pictures.
"""
REDUCTION_MAX = 16
ENLARGEMENT = 2
FREEZABLE = ("encoder", "decoder", "analysis")


@dataclasses.dataclass(frozen=True)
class Options:
    """What `cae-train` can be told; the run's folder holds its state and its log.

    Left to itself, the learning rate is 1e-3 for what is new and 5e-4 for what was trained before, and falls over the last 25 %
    of a training from nothing, 80 % of one that starts from weights.
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
    patch_schedule: Schedule = UNCHANGED
    resolution_schedule: Schedule = UNCHANGED
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
            # this noise is in what is to be learnt, too
            object.__setattr__(self, "augment", tuple(name for name in self.augment if name != "noise"))

    @property
    def distortion(self) -> Distortion:
        """What the loss measures."""
        return DISTORTIONS[self.loss]

    @property
    def least_side(self) -> int:
        """Pixels that the loss needs of a picture's short side: a multiple of `step`."""
        return -(-self.distortion.side * (self.reduced or 1) // self.step) * self.step

    @property
    def step(self) -> int:
        """Of so many pixels the sides of patches are multiples."""
        return HYPER_STRIDE * (self.enlarge or 1)

    def check(self) -> None:
        """CaeError for values that cannot be."""
        if (self.steps is None) == (self.minutes is None):
            raise CaeError("training needs either a number of steps or of minutes")
        if not all(map(math.isfinite, (self.minutes or 0, self.learning_rate, self.memory_gib))):
            raise CaeError("minutes, learning rate and memory must be numbers")
        if self.enlarge is not None:
            self._check_enlarging()
        if self.patch < self.step or self.patch % self.step:
            raise CaeError(f"patches of {self.patch} pixels: use a multiple of {self.step}")
        if (
            self.batch < 1
            or self.workers < 1
            or not 0 < self.decay <= 1
            or self.learning_rate <= 0
            or self.memory_gib <= 0
            or (self.steps or self.minutes or 0) <= 0
        ):
            raise CaeError(
                "batch, workers, budget, learning rate and memory must be positive, the decay more than 0 and at most 1"
            )
        if self.grow and self.start_from is None:
            raise CaeError("growing needs weights to start from (--start-from)")
        if self.reduced is not None:
            if self.reduced not in REDUCTIONS[1:]:
                raise CaeError(f"reduced {self.reduced}: there are decoders of 1/2, 1/4 and 1/8 of the size")
            if self.start_from is None or self.grow:
                raise CaeError("a decoder of a reduced size belongs to finished weights (--start-from, without --grow)")
            if self.replay < 1:
                raise CaeError(f"replay {self.replay}: each batch that is coded serves at least 1 step")
            if self.patch_schedule != UNCHANGED:
                raise CaeError("a decoder of a reduced size learns from patches of one size (without --patch-schedule)")
        if self.freeze is not None:
            if self.freeze not in FREEZABLE:
                raise CaeError(f"freeze {self.freeze!r}: there are {', '.join(FREEZABLE)}")
            if self.start_from is None or self.grow or self.reduced is not None:
                raise CaeError("a frozen part is one of finished weights (--start-from, without --grow and --reduced)")
        if self.denoise and self.freeze != "decoder":
            raise CaeError("denoising is learnt by an encoder alone (--freeze decoder)")
        if self.loss not in DISTORTIONS:
            raise CaeError(f"loss {self.loss!r}: there are {', '.join(DISTORTIONS)}")
        for side in (*self.patch_schedule.values, self.patch):
            if side % self.step or side > self.patch:
                raise CaeError(f"patches of {side} pixels: use multiples of {self.step} up to --patch")
            if side < self.least_side:
                raise CaeError(f"the loss {self.loss} needs patches of {self.least_side} pixels or more")
        for reduction in self.resolution_schedule.values:
            if reduction > REDUCTION_MAX:
                raise CaeError(f"pictures of 1/{reduction} of the size: use at most 1/{REDUCTION_MAX}")
        for name in self.augment:
            if name not in AUGMENTATIONS:
                raise CaeError(f"augmentation {name!r}: there are {', '.join(AUGMENTATIONS)}")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise CaeError(f"patches that overlap by {self.overlap} of a side: use 0 or more, and less than 1")
        if self.seed < 0:
            raise CaeError(f"seed {self.seed}: use 0 or more")
        if self.export is not None:
            check_target(self.export)

    def _check_enlarging(self) -> None:
        """CaeError for values that a decoder that enlarges cannot have."""
        if self.enlarge != ENLARGEMENT:
            raise CaeError(f"enlarge {self.enlarge}: there is a decoder of {ENLARGEMENT} times the size")
        if self.start_from is None or self.grow or self.reduced is not None or self.freeze is not None:
            raise CaeError(
                "a decoder that enlarges belongs to finished weights (--start-from, without other kinds of training)"
            )
