"""Encoding and decoding for applications: the class behind `import codec`."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image

from .. import _unpickle
from ..coding.concealment import Damage
from ..coding.decoder import decode as decode_region
from ..coding.encoder import encode as encode_pixels
from ..coding.maps import traces
from ..coding.rate_control import encode_to_target
from ..coding.settings import Job, Settings
from ..errors import CaeError
from ..format import container
from ..format.buffers import Buffer, as_bytes, drop_traceback
from ..format.header import NO_MODEL
from ..format.limits import PIXELS_MAX, check_size
from ..format.sources import MemorySource
from ..images import picture as pictures
from ..images import streams
from ..images.picture import Picture
from ..images.samples import bits_of
from ..inspection import MAPS, Traces
from ..networks import model as models
from ..networks import registry
from ..networks.model import Model
from ..networks.weights import Files
from ..options import (
    DEFAULT_CACHE,
    DEFAULT_EFFORT,
    DEFAULT_INSPECTION_QUALITY,
    DEFAULT_QUALITY,
    DEFAULT_TILE,
    DecodeOptions,
    EncodeOptions,
    OnError,
    Region,
)
from ..runtime import devices
from ..runtime.forking import fork_safe
from ..runtime.threads import thread_count
from .arguments import CheckedArguments
from .reading import File, PictureReader
from .writing import PictureWriter, channels_of, checked_metadata, checked_size

_WHOLE = ", of pictures that are held whole; give it row by row to `create`, or raise the limit (pixels_max)"


class Codec:
    """A codec that keeps its weights loaded from call to call. Safe to use from several threads at once.

    It can be pickled, as long as the weights file is found on the other side, where it is loaded again.

    Args:
        weights: a weights file (.safetensors); None takes the ones that come with the package.
        encoder: another encoder for the latents of these weights, a file or the name of an installed one.
        decoder: another decoder, likewise.
        device: "auto" or None (CUDA where it works and computes symbols as the CPU does, else the CPU), "cpu", "cuda" or
            "cuda:1", or a torch.device; a GPU whose memory is used up gives way to the CPU, with a warning.
        threads: how many CPU threads to use, of which at most 4 for each processor are started; None takes all processors
            of this process.
        bf16: run the transforms in bfloat16 (True) or float32 (False); None decodes in float32, so that pixels agree on
            every machine within one 8-bit level and 0.01 dB, and encodes in bfloat16 where that is faster.
        pixels_max: largest picture or region that `decode` makes, and that `encode` takes.

    Raises:
        CaeError: for weights, a device or a number of threads that cannot be used.

    >>> import numpy as np
    >>> codec = Codec(device="cpu")
    >>> gray = np.full((20, 30), 128, np.uint8)
    >>> codec.decode(codec.encode(gray, quality=90)).shape
    (20, 30)
    """

    def __init__(
        self,
        *,
        weights: str | PathLike[str] | None = None,
        encoder: str | PathLike[str] | None = None,
        decoder: str | PathLike[str] | None = None,
        device: str | torch.device | None = None,
        threads: int | None = None,
        bf16: bool | None = None,
        pixels_max: int = PIXELS_MAX,
    ) -> None:
        self._made_with = made_with = CheckedArguments(weights, encoder, decoder, device, threads, bf16, pixels_max)
        self._settings = Settings(thread_count(made_with.threads), bf16=made_with.bf16, pixels_max=made_with.pixels_max)
        self._device = devices.choose(made_with.device)
        self._model = self._load(made_with.files)
        self._others: dict[bytes, Model] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle, (vars(self._made_with), self._model.id)

    def __copy__(self) -> Codec:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Codec:
        return self

    @fork_safe
    def _load(self, files: Files) -> Model:
        if self._device.type == "cpu":
            return models.load(files, self._device)
        try:
            return models.load(files, self._device)
        except CaeError as error:
            if self._made_with.device != "auto":
                raise
            reason = str(error)
        except RuntimeError as error:
            if not devices.out_of_memory(error):
                raise
            reason = "out of GPU memory"
        model = models.load(files, "cpu")
        warnings.warn(f"{reason}: going on on the CPU", RuntimeWarning, stacklevel=4)
        return model

    def encode(
        self,
        image: Image.Image | np.ndarray,
        /,
        quality: int = DEFAULT_QUALITY,
        *,
        tile: int = DEFAULT_TILE,
        effort: int = DEFAULT_EFFORT,
        lossless: bool = False,
        target_size: int | None = None,
        target_bpp: float | None = None,
        target_psnr: float | None = None,
        depth: int | None = None,
    ) -> bytes:
        """Codes a picture to the bytes of a `.cae` file.

        Args:
            image: a Pillow image, or an array of uint8 or uint16: (H, W), (H, W, 1), (H, W, 2: gray and alpha), (H, W, 3) or
                (H, W, 4).
                Alpha is kept without loss; a Pillow image's ICC profile, EXIF and XMP are kept as they are.
            quality: 1 (smallest file) to 100.
            tile: side in pixels of the tiles that decode alone, a multiple of 64 up to 2048.
            effort: 1 (fastest) to 9 (smallest file at the same PSNR). From 3 on symbols are searched for, which takes 14
                times as long as 2 does, and with each further one two to three times as long; decoding takes the same.
            lossless: code every pixel exactly, whatever the quality. Otherwise so is only what costs less that way, such as
                text and drawings.
            target_size: in place of the quality, the most bytes that the file may have.
            target_bpp: likewise, the most bits per pixel.
            target_psnr: likewise, the PSNR in dB of the colours that are seen, which the picture reaches within 0.05 dB.
            depth: how many bits the samples of uint16 have, 9 to 16 (None: 16), so that 2**depth - 1 is white. Name it for
                cameras of 12 bits, say: the quality is one of errors as shares of white.

        A target takes about three times as long, a PSNR five times. A warning says where it is missed: by a file that is more
        than 2 % smaller, or at the ends of the qualities.

        Raises:
            CaeError: for an image, quality, tile size, effort or target that cannot be coded, and for more pixels than
                `pixels_max`, for which `create` is.
        """
        picture = _picture_of(image)
        targets = {"target_size": target_size, "target_bpp": target_bpp, "target_psnr": target_psnr}
        return self.encode_picture(picture, EncodeOptions(quality, tile, effort, lossless, depth=depth, **targets))

    @fork_safe
    def encode_picture(
        self, picture: Picture, options: EncodeOptions, count_searched: Callable[[float], None] | None = None
    ) -> bytes:
        """`encode` for a picture whose colour, alpha and metadata are already apart.

        `count_searched` is told of pixels as the search for their symbols goes on, on any thread; for a target again for
        each file that is tried.
        """
        height, width = picture.colour.shape[:2]
        check_size(width, height, self._settings.pixels_max, _WHOLE, picture.depth)
        picture = picture.in_own_depth(options.depth)
        pixels = picture.pixels
        depth = options.depth_of(bits_of(pixels.dtype))
        job = Job.encoding(self._model, self._settings, (width, height), pixels.shape[2], options, depth)
        job = dataclasses.replace(job, count_searched=count_searched)
        if depth > 8 and (hint := options.hint(int(picture.colour.max()), depth)):
            warnings.warn(hint, RuntimeWarning, stacklevel=3)
        return (encode_to_target if options.has_target else encode_pixels)(pixels, job, picture.metadata)

    def inspect(
        self, image: Image.Image | np.ndarray, /, quality: int = DEFAULT_INSPECTION_QUALITY, *, maps: Sequence[str] = MAPS
    ) -> Traces:
        """What coding a picture would cost and lose at each place, from which `inspection.Statistics` makes heat maps.

        Args:
            image: as `encode` takes it; alpha is left out of account.
            quality: 1 to 100.
            maps: what the traces are for, of "error", "surprise" and "distance"; the last alone takes the least time.

        Raises:
            CaeError: for an image, quality or map that cannot be, and for pictures of more than `pixels_max` pixels.
        """
        if unknown := set(maps) - set(MAPS):
            raise CaeError(f"maps {', '.join(sorted(map(str, unknown)))}: there are {', '.join(MAPS)}")
        return self.inspect_picture(_picture_of(image), quality, maps)

    @fork_safe
    def inspect_picture(self, picture: Picture, quality: int, maps: Sequence[str] = MAPS) -> Traces:
        """`inspect` for a picture whose colour and alpha are already apart."""
        height, width, colours = picture.colour.shape
        check_size(width, height, self._settings.pixels_max, "", picture.depth)
        job = Job.encoding(self._model, self._settings, (width, height), colours, EncodeOptions(quality), picture.depth)
        return traces(picture.colour, job, maps)

    def decode(
        self, data: Buffer, /, *, region: Region | None = None, on_error: OnError = "raise", scale: float | Fraction = 1
    ) -> np.ndarray:
        """Decodes a `.cae` file's bytes to an array (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), uint8 or uint16 as it was.

        Args:
            data: the file's bytes, or any buffer that holds them: a mapped file, a NumPy array, a memoryview.
            region: (x, y, width, height) in pixels; only the tiles that it needs are decoded, and the result equals that
                crop of the whole picture.
            on_error: "fill" fills damaged tiles, and those that a file which is cut off has no more, from what surrounds them
                (alpha: opaque), and names them in one warning.
                Pixels further from them than the synthesis reaches are exact.
            scale: 2, 1, 1/2, 1/4 or 1/8 (a float or a Fraction). A picture of W x H pixels is then one of ⌈W·scale⌉ x
                ⌈H·scale⌉. At smaller sizes each of these stands for a square of 1/scale pixels, counted from the top left
                (less at the other edges); at 2 a decoder of the weights that enlarges makes them, or Lanczos' filter, and
                drawn parts come as squares of their pixels.
                A region, which counts in pixels of the full size, gives those of which it touches a part.

        Raises:
            CaeError: for a damaged or foreign file, unknown weights, or a region outside the picture.
        """
        return pictures.to_array(self.decode_picture(data, DecodeOptions(region, on_error, scale)))

    def decode_image(
        self, data: Buffer, /, *, region: Region | None = None, on_error: OnError = "raise", scale: float | Fraction = 1
    ) -> Image.Image:
        """Like `decode`, but gives a Pillow image, with ICC profile, EXIF and XMP in its `info`.

        Of more than 8 bits a sample, Pillow holds gray alone (mode I;16); other pictures are rounded to 8.
        """
        return pictures.to_pillow(self.decode_picture(data, DecodeOptions(region, on_error, scale)))

    @drop_traceback
    @fork_safe
    def decode_picture(self, data: Buffer, options: DecodeOptions) -> Picture:
        """`decode` to a picture whose colour, alpha and metadata are apart."""
        source = MemorySource(as_bytes(data))
        file = container.read(source, cut_off=options.on_error == "fill")
        header = file.header
        damage = Damage(header) if options.on_error == "fill" else None
        job = Job(self._model_for(header.model_id), self._settings, header, options)
        pixels = decode_region(source, file, job, damage)
        if damage:
            damage.warn(stacklevel=4)
        return dataclasses.replace(pictures.from_array(pixels, header.depth), metadata=dict(file.metadata))

    @fork_safe
    def open(self, file: File, /, *, on_error: OnError = "raise", cache: int = DEFAULT_CACHE) -> PictureReader:
        """Opens a `.cae` file, of which only the header and the index are read until pixels are asked for.

        Args:
            file: a path, an open binary file that seeks (such as fsspec's, of a web server or a cloud), or the file's bytes.
            on_error: what is done about damaged tiles, see `decode`.
            cache: bytes of decoded tiles that are kept for later calls of `read` (a tile of 1024 x 1024 pixels takes 3 MB).

        Raises:
            CaeError: for a damaged or foreign file, and for unknown weights.
        """
        return PictureReader(file, lambda header: self._model_for(header.model_id), self._settings, on_error, cache)

    def create(
        self,
        file: str | PathLike[str] | BinaryIO,
        /,
        size: tuple[int, int],
        mode: str,
        *,
        quality: int = DEFAULT_QUALITY,
        tile: int = DEFAULT_TILE,
        effort: int = DEFAULT_EFFORT,
        lossless: bool = False,
        depth: int | None = None,
        metadata: Mapping[str, bytes] | None = None,
    ) -> PictureWriter:
        """Begins a `.cae` file for a picture that comes row by row and need not fit in memory.

        Args:
            file: a path, or a seekable binary file, which is written from its position 0 on and replaces what it holds.
            size: width and height in pixels.
            mode: L, LA, RGB or RGBA.
            quality, tile, effort, lossless: as `encode` has them.
            depth: bits of a sample; from 9 to 16 the rows are uint16 (None: 8).
            metadata: as `PictureReader.metadata` gives it.

        Raises:
            CaeError: for what the format does not hold, and for a file that cannot be written.
        """
        return self.create_picture(file, size, mode, EncodeOptions(quality, tile, effort, lossless, depth=depth), metadata)

    def create_picture(
        self,
        file: str | PathLike[str] | BinaryIO,
        size: tuple[int, int],
        mode: str,
        options: EncodeOptions,
        metadata: Mapping[str, bytes] | None,
        depth: int | None = None,
        count_searched: Callable[[float], None] | None = None,
    ) -> PictureWriter:
        """`create` with its options as one; `depth` is what is known of it where the options say nothing.

        `count_searched` is told of pixels as the search for their symbols goes on, on any thread.
        """
        shape, depth = (checked_size(size), channels_of(mode)), options.depth or depth or 8
        job = Job.encoding(self._model, self._settings, *shape, options, depth)
        job = dataclasses.replace(job, count_searched=count_searched)
        return PictureWriter(file, job, checked_metadata(metadata))

    def _model_for(self, wanted: bytes) -> Model:
        if wanted in (self._model.id, NO_MODEL):
            return self._model
        if wanted not in self._others:
            path = registry.find(wanted, tried=(self._model.files.model, self._model.id))
            model = self._load(Files(path))
            if model.id != wanted:
                raise CaeError(f"{path}: says that its id is {wanted.hex()}, but has {model.id.hex()}; install it again")
            self._others[wanted] = model
        return self._others[wanted]


def _picture_of(image: Image.Image | np.ndarray) -> Picture:
    if isinstance(image, Image.Image):
        return streams.from_pillow(image)
    if isinstance(image, np.ndarray):
        return pictures.from_array(image)
    raise CaeError(f"cannot encode a {type(image).__name__}; pass a Pillow image or a NumPy array")


def codec_again(made_with: dict[str, Any], model_id: bytes) -> Codec:
    """A codec from what another was made with; CaeError where the weights there now are others."""
    codec = Codec(**made_with)
    if codec._model.id != model_id:
        raise CaeError(
            f"{codec._model.files.model}: has weights with the id {codec._model.id.hex()}, but the codec was pickled with "
            f"{model_id.hex()}; use the same weights on both sides"
        )
    return codec
