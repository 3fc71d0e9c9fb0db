"""Jobs: what one call encodes or decodes, with which model, settings and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from ..distortion.distortions import DISTORTIONS
from ..errors import CaeError
from ..format.geometry import Rect
from ..format.header import NO_MODEL, Header
from ..networks.config import RDO_WEIGHT
from ..networks.decoding import DecoderNetworks
from ..options import QUALITIES, DecodeOptions, EncodeOptions, check_agreement
from ..runtime.tile_cache import TileCache
from ..runtime.warning import warn
from .settings import WINDOW_MIN, Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..networks.model import Model

Progress = Callable[[float], None]
"""Called with numbers of pixels, on any thread."""


def _no_cache() -> TileCache:
    return TileCache(0)


@dataclasses.dataclass(frozen=True)
class DecodeJob:
    """One decode of a file with this header; `cache` holds tiles that other decodes of the same file have made."""

    model: DecoderNetworks
    settings: Settings
    header: Header
    options: DecodeOptions = dataclasses.field(default_factory=DecodeOptions)
    cache: TileCache = dataclasses.field(default_factory=_no_cache)

    @property
    def region(self) -> Rect:
        """The region to decode, in pixels of the full size; at a reduced size all that is under the reduced pixels."""
        if self.options.region is None:
            return self.header.bounds
        region = Rect.of_region(*self.options.region)
        if region.is_empty or region & self.header.bounds != region:
            return region
        return region.outward(self.scale.denominator).scaled(self.scale.denominator) & self.header.bounds

    @property
    def scale(self) -> Fraction:
        """Size of the result, in sizes of the picture."""
        return Fraction(self.options.scale)

    @property
    def synthesis_scale(self) -> Fraction:
        """Size of the synthesis' pixels: that of the result where the weights have a decoder for it, else 1.

        It is 1 as well where nothing is synthesised.
        """
        if self.scale == 1 or self.header.model_id == NO_MODEL:
            return Fraction(1)
        return self.scale if self.scale in self.model.resized else Fraction(1)

    @property
    def margin(self) -> int:
        """Pixels around a region, in whole latent positions' worth, on which the synthesis of its pixels depends."""
        return self.model.receptive_field(self.synthesis_scale)


@dataclasses.dataclass(frozen=True)
class EncodeJob:
    """One encode of a picture to a file with this header.

    Args:
        rdo_weight: see `Quantiser.rdo_quantise`.
        cache: lossless codes of parts of the picture, from one encode of it to the next.
        progress: counts pixels as they are coded, or as the search for their symbols goes on.
    """

    model: Model
    settings: Settings
    header: Header
    options: EncodeOptions = dataclasses.field(default_factory=EncodeOptions)
    rdo_weight: float = RDO_WEIGHT
    cache: TileCache = dataclasses.field(default_factory=_no_cache)
    progress: Progress | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        settings: Settings,
        size: tuple[int, int],
        channels: int,
        options: EncodeOptions,
        depth: int = 8,
        progress: Progress | None = None,
    ) -> EncodeJob:
        """Makes the job for a picture of a size (width, height), a number of channels, and bits of a sample.

        Raises:
            CaeError: where the format holds no such picture, or a later release has made the encoder.
            UsageError: for options that contradict the model's encoder.
        """
        encoders = {} if model.files.encoder is None else {"encoder": "another encoder"}
        if model.denoises:
            encoders["denoising"] = "an encoder that denoises"
        check_agreement(options.chosen | encoders)
        if model.objective not in DISTORTIONS:
            raise CaeError(f"the weights are for the objective {model.objective!r}; update this codec to encode with them")
        quality, model_id = (QUALITIES[-1], NO_MODEL) if options.lossless else (options.quality_or_default, model.id)
        header = Header(*size, channels, quality, options.tile, model_id, depth)
        return cls(model, settings, header, options, progress=progress)

    @property
    def lmbda(self) -> float:
        """The lambda of the header's quality."""
        config = self.model.config
        return config.lmbda(config.level(self.header.quality))

    @property
    def encodes_in_bf16(self) -> bool:
        """True if the encoder's products are in bfloat16."""
        from ..runtime.devices import fast_bf16  # needs torch, as encoding does

        bf16 = self.settings.bf16
        return fast_bf16(self.model.device) if bf16 is None else bf16

    def precision(self) -> AbstractContextManager[None]:
        """Sets the compute dtype for networks of the encoder."""
        from ..runtime import devices

        return devices.precision(self.model.device, self.encodes_in_bf16)

    def count(self, pixels: float) -> None:
        """Counts pixels that have been coded, or searched."""
        if self.progress:
            self.progress(pixels)

    @property
    def decode_job(self) -> DecodeJob:
        """The decode of the whole picture that the encoder compares with the original."""
        return DecodeJob(self.model, self.settings, self.header)


AnyJob = TypeVar("AnyJob", EncodeJob, DecodeJob)
Result = TypeVar("Result")


def with_fallback(work: Callable[[AnyJob], Result], job: AnyJob, *, windows: bool = True) -> Result:
    """Runs `work`; out of memory on a GPU, tries again with smaller windows (if it uses any), and at last on the CPU."""
    attempt = job
    while True:
        try:
            return work(attempt)
        except RuntimeError as error:
            if not attempt.model.on_gpu:
                raise
            from ..runtime import devices  # needs torch, which runs on the GPU

            if not devices.out_of_memory(error):
                raise
        # outside the handler, which would keep the tensors alive
        if attempt is job:
            warn("out of GPU memory: going on with smaller pieces, then on the CPU")
        devices.free_memory()
        window = attempt.settings.window // 2
        if windows and window >= WINDOW_MIN:
            attempt = dataclasses.replace(attempt, settings=dataclasses.replace(job.settings, window=window))
        else:
            attempt = dataclasses.replace(job, model=job.model.on_cpu())
