"""Encoding and decoding for applications: the functions and the class behind `import codec`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, TypeVar, Unpack

import numpy as np
import torch
from PIL import Image

from . import _unpickle
from .arguments import Arguments, CheckedArguments
from .coding.decoder import decode as decode_region
from .coding.decoder import decode_bands
from .coding.encoder import encode as encode_pixels
from .coding.encoder import encode_bands
from .coding.settings import Settings
from .errors import CaeError
from .format import container
from .format.buffers import Buffer, as_bytes
from .format.container import Header
from .format.limits import PIXELS_MAX
from .format.tiling import Rect
from .images import picture as pictures
from .images.picture import Picture
from .networks import model as models
from .networks import registry
from .networks.agreement import agrees
from .networks.model import Model
from .networks.weights import Files
from .options import DEFAULT_QUALITY, DEFAULT_TILE, DecodeOptions, EncodeOptions, Region
from .runtime import devices
from .runtime.forking import fork_safe
from .runtime.threads import thread_count


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
        pixels_max: largest picture or region that `decode` makes.

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
            model = models.load(files, self._device)
            if agrees(model, self._device):
                return model
            raise CaeError(f"device {self._device} does not compute symbols as the CPU does; use --device cpu")
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

    def encode(self, image: Image.Image | np.ndarray, /, quality: int = DEFAULT_QUALITY, *, tile: int = DEFAULT_TILE) -> bytes:
        """Codes a picture to the bytes of a `.cae` file.

        Args:
            image: a Pillow image, or a uint8 array (H, W), (H, W, 1), (H, W, 2: gray and alpha), (H, W, 3) or (H, W, 4).
                Alpha is kept without loss; a Pillow image's ICC profile, EXIF and XMP are kept as they are.
            quality: 1 (smallest file) to 100.
            tile: side in pixels of the tiles that decode alone, a multiple of 64 up to 2048.

        Raises:
            CaeError: for an image, quality or tile size that cannot be coded.
        """
        if isinstance(image, Image.Image):
            picture = pictures.from_pillow(image)
        elif isinstance(image, np.ndarray):
            picture = pictures.from_array(image)
        else:
            raise CaeError(f"cannot encode a {type(image).__name__}; pass a Pillow image or a NumPy array")
        return self.encode_picture(picture, EncodeOptions(quality, tile))

    @fork_safe
    def encode_picture(self, picture: Picture, options: EncodeOptions) -> bytes:
        """`encode` for a picture whose colour, alpha and metadata are already apart."""
        return encode_pixels(picture.pixels, self._model, self._settings, options, picture.metadata)

    @fork_safe
    def encode_bands(
        self,
        bands: Iterable[np.ndarray],
        size: tuple[int, int],
        channels: int,
        metadata: Mapping[str, bytes],
        options: EncodeOptions,
    ) -> bytes:
        """`encode_picture` for rows that arrive from top to bottom, (rows, width, channels) uint8; size is (width, height)."""
        header = Header(*size, channels, options.quality, options.tile, self._model.id)
        return container.write(header, metadata, list(encode_bands(bands, header, self._model, self._settings)))

    def decode_bands(self, data: Buffer, options: DecodeOptions) -> Iterator[np.ndarray]:
        """`decode_picture` to rows from top to bottom, (rows, width, channels) uint8."""
        data = as_bytes(data)
        file = container.read(data)
        place = file.header.bounds if options.region is None else Rect.of_region(*options.region)
        return decode_bands(data, file, self._model_for(file.header.model_id), self._settings, place)

    def decode(self, data: Buffer, /, *, region: Region | None = None) -> np.ndarray:
        """Decodes a `.cae` file's bytes to a uint8 array: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), as it was encoded.

        Args:
            data: the file's bytes, or any buffer that holds them: a mapped file, a NumPy array, a memoryview.
            region: (x, y, width, height) in pixels; only the tiles that it needs are decoded, and the result equals that
                crop of the whole picture.

        Raises:
            CaeError: for a damaged or foreign file, unknown weights, or a region outside the picture.
        """
        return pictures.to_array(self.decode_picture(data, DecodeOptions(region)))

    def decode_image(self, data: Buffer, /, *, region: Region | None = None) -> Image.Image:
        """Like `decode`, but gives a Pillow image, with ICC profile, EXIF and XMP in its `info`."""
        return pictures.to_pillow(self.decode_picture(data, DecodeOptions(region)))

    @fork_safe
    def decode_picture(self, data: Buffer, options: DecodeOptions) -> Picture:
        """`decode` to a picture whose colour, alpha and metadata are apart."""
        data = as_bytes(data)
        file = container.read(data)
        header = file.header
        place = header.bounds if options.region is None else Rect.of_region(*options.region)
        pixels = decode_region(data, file, self._model_for(header.model_id), self._settings, place)
        return dataclasses.replace(pictures.from_array(pixels), metadata=dict(file.metadata))

    def _model_for(self, wanted: bytes) -> Model:
        if wanted == self._model.id:
            return self._model
        if wanted not in self._others:
            self._others[wanted] = self._load(Files(registry.find(wanted, tried=(self._model.files.model, self._model.id))))
        return self._others[wanted]


def codec_again(made_with: dict[str, Any], model_id: bytes) -> Codec:
    """A codec from what another was made with; CaeError where the weights there now are others."""
    codec = Codec(**made_with)
    if codec._model.id != model_id:
        raise CaeError(
            f"{codec._model.files.model}: has weights with the id {codec._model.id.hex()}, but the codec was pickled with "
            f"{model_id.hex()}; use the same weights on both sides"
        )
    return codec


@functools.lru_cache(maxsize=4)
def _kept(made_with: CheckedArguments, _identities: tuple[tuple[int, ...], ...]) -> Codec:
    return Codec(**vars(made_with))


# CUDA does not survive a fork: the child loads weights of its own
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.cache_clear)


def _shared(**arguments: Unpack[Arguments]) -> Codec:
    """A codec kept from earlier calls, as long as the weights file stays the same."""
    made_with = CheckedArguments(**arguments)
    return _kept(made_with, tuple(registry.identity(path) for path in made_with.files if path is not None))


Function = TypeVar("Function", bound=Callable[..., Any])


def _with_arguments(function: Function) -> Function:
    """Shows `Arguments`, with the defaults that they have in `Codec`, in the function's signature."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=own + list(inspect.signature(Codec).parameters.values()))
    return function


@_with_arguments
def encode(
    image: Image.Image | np.ndarray,
    /,
    quality: int = DEFAULT_QUALITY,
    *,
    tile: int = DEFAULT_TILE,
    **arguments: Unpack[Arguments],
) -> bytes:
    """Codes a Pillow image or uint8 array to the bytes of a `.cae` file: see `Codec` and `Codec.encode`.

    >>> import codec, numpy as np
    >>> ramp = np.linspace(0, 255, 64 * 48 * 3).astype(np.uint8).reshape(48, 64, 3)
    >>> data = codec.encode(ramp, quality=80)
    >>> decoded = codec.decode(data)
    >>> decoded.shape, bool(abs(decoded.astype(int) - ramp).mean() < 3)
    ((48, 64, 3), True)
    """
    return _shared(**arguments).encode(image, quality, tile=tile)


@_with_arguments
def decode(data: Buffer, /, *, region: Region | None = None, **arguments: Unpack[Arguments]) -> np.ndarray:
    """Decodes a `.cae` file's bytes to a uint8 array: see `Codec` and `Codec.decode`.

    >>> import codec, numpy as np
    >>> data = codec.encode(np.zeros((100, 200, 3), np.uint8))
    >>> codec.decode(data, region=(150, 0, 50, 20)).shape
    (20, 50, 3)
    """
    return _shared(**arguments).decode(data, region=region)


@_with_arguments
def decode_image(data: Buffer, /, *, region: Region | None = None, **arguments: Unpack[Arguments]) -> Image.Image:
    """Decodes a `.cae` file's bytes to a Pillow image: see `Codec` and `Codec.decode_image`.

    >>> import codec
    >>> from PIL import Image
    >>> codec.decode_image(codec.encode(Image.new("LA", (5, 7)))).mode
    'LA'
    """
    return _shared(**arguments).decode_image(data, region=region)
