"""How a codec runs, what one call works with, and what is done where a GPU's memory is used up."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import TypeVar

import torch
from torch import nn

from ..errors import CaeError
from ..format.geometry import Rect
from ..format.header import NO_MODEL, Header
from ..format.limits import PIXELS_MAX
from ..networks.model import Model, on_cpu
from ..networks.quantisation import DISTORTION_WEIGHT
from ..options import QUALITIES, DecodeOptions, EncodeOptions
from ..runtime import devices
from ..runtime.tile_cache import TileCache

WINDOW = 1024
"""Side in pixels of the square pieces in which the transforms run."""
WINDOW_MIN = 128
BAND_CELLS = 4
"""Windows for each thread in a band, the part of a picture that is worked on at a time."""
WIDE = 2**13
"""Pixels to a row from which on memory that a band's work has freed is given back to the system at once."""
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a codec runs.

    `bf16` None means that the encoder uses it where it is fast, and the decoder does not, so that its pixels agree
    everywhere. `pixels_max` bounds the pixels that one call decodes.
    """

    threads: int
    bf16: bool | None = None
    window: int = WINDOW
    pixels_max: int = PIXELS_MAX

    @property
    def band_cells(self) -> int:
        """Windows in a band, as many as make a whole row of them at least."""
        return BAND_CELLS * self.threads

    def encodes_in_bf16(self, device: torch.device) -> bool:
        """Whether the encoder's products are in bfloat16."""
        return devices.fast_bf16(device) if self.bf16 is None else self.bf16

    def encoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        """Runs networks of the encoder."""
        return devices.precision(device, self.encodes_in_bf16(device))

    def decoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        """Runs networks of the decoder."""
        return devices.precision(device, bool(self.bf16))

    def windows_at_once(self, device: torch.device) -> int:
        """How many windows are worked on at the same time."""
        # a GPU is filled by one window, and two would need twice its memory
        return self.threads if device.type == "cpu" else 1


@dataclasses.dataclass(frozen=True)
class Job:
    """What one call works with: a model and how it runs, what the file's header says, and what the caller chose.

    `distortion_weight` is the encoder's, see `Quantiser.rdo_quantise`.
    `tiles` holds what other calls have decoded of the same file, or have coded without loss of the same picture.
    `count_searched` is told of pixels as the search for their symbols goes on, on any thread.
    """

    model: Model
    settings: Settings
    header: Header
    options: EncodeOptions | DecodeOptions
    distortion_weight: float = DISTORTION_WEIGHT
    tiles: TileCache = dataclasses.field(default_factory=lambda: TileCache(0))
    count_searched: Callable[[float], None] | None = None

    @classmethod
    def encoding(
        cls, model: Model, settings: Settings, size: tuple[int, int], channels: int, options: EncodeOptions, depth: int = 8
    ) -> Job:
        """For a picture of a size (width, height), a number of channels, and bits of a sample.

        Raises:
            CaeError: where the format holds no such one, and for options that a denoising or tuned encoder does not take.
        """
        if model.denoises:
            _check_denoising(options)
        if model.tuned and options.searches:
            raise CaeError(
                f"the encoder is tuned for {model.tuned}: effort {options.effort} searches by squared error; use 1 or 2"
            )
        named = (QUALITIES[-1], options.tile, NO_MODEL) if options.lossless else (options.quality, options.tile, model.id)
        return cls(model, settings, Header(*size, channels, *named, depth), options)

    @property
    def region(self) -> Rect:
        """What is decoded, in pixels of the full size: the region that was chosen, or the whole picture.

        At a reduced size it is all that is under the reduced pixels.
        """
        options = self.options
        if not isinstance(options, DecodeOptions) or options.region is None:
            return self.header.bounds
        chosen = Rect.of_region(*options.region)
        if chosen.is_empty or chosen & self.header.bounds != chosen:
            return chosen
        return chosen.outward(self.scale.denominator).scaled(self.scale.denominator) & self.header.bounds

    @property
    def scale(self) -> Fraction:
        """Size of the result of a decode, in sizes of the picture."""
        return Fraction(self.options.scale if isinstance(self.options, DecodeOptions) else 1)

    @property
    def synthesised(self) -> Fraction:
        """That of the synthesis' pictures: as of the result, where there is a decoder for it, else 1.

        It is 1 as well where nothing is synthesised.
        """
        if self.scale == 1 or self.header.model_id == NO_MODEL:
            return Fraction(1)
        return self.scale if self.scale in self.model.resized else Fraction(1)

    @property
    def synthesis(self) -> nn.Module:
        """The transform from the latent to pixels, or to smaller or larger ones."""
        return self.model.synthesis_for(self.synthesised)


def _check_denoising(options: EncodeOptions) -> None:
    """CaeError for what compares with the picture that is given, whose noise is to go."""
    wrong = None
    if options.lossless:
        wrong = "lossless would keep the noise"
    elif options.target_psnr is not None:
        wrong = "a PSNR to the noisy picture is no aim; name a quality or a size"
    elif options.searches:
        wrong = f"effort {options.effort} searches for symbols that show the noise again; use 1 or 2"
    if wrong:
        raise CaeError(f"the encoder leaves noise out: {wrong}")


def with_fallback(work: Callable[[Job], Result], job: Job, *, windows: bool = True) -> Result:
    """Runs `work`; out of memory on a GPU, tries again with smaller windows (if it uses any), and at last on the CPU."""
    attempt = job
    while True:
        try:
            return work(attempt)
        except RuntimeError as error:
            if attempt.model.device.type == "cpu" or not devices.out_of_memory(error):
                raise
        # outside the handler, which would keep the tensors alive
        if attempt is job:
            warnings.warn("out of GPU memory: going on with smaller pieces, then on the CPU", RuntimeWarning, stacklevel=1)
        torch.cuda.empty_cache()
        window = attempt.settings.window // 2
        if windows and window >= WINDOW_MIN:
            attempt = dataclasses.replace(attempt, settings=dataclasses.replace(job.settings, window=window))
        else:
            attempt = dataclasses.replace(job, model=on_cpu(job.model))
