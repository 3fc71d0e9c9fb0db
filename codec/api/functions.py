"""The functions of `import codec`, which share codecs among their calls."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, BinaryIO, Unpack

import numpy as np
from PIL import Image

from ..format.buffers import Buffer
from ..networks import registry
from ..options import DEFAULT_CACHE, DecodeKeywords, DecodeOptions, EncodeKeywords, EncodeOptions, OnError, StreamKeywords
from .arguments import Arguments, CheckedArguments, keyword_parameters, with_parameters
from .codec import Codec
from .reader import File, PictureReader
from .writer import PictureWriter


@functools.lru_cache(maxsize=4)
def _cached_codec(arguments: CheckedArguments, _identities: tuple[tuple[int, ...], ...]) -> Codec:
    return Codec(**vars(arguments))


# CUDA does not survive a fork: the child loads weights of its own
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cached_codec.cache_clear)


def _shared(**arguments: Unpack[Arguments]) -> Codec:
    """Returns a codec from earlier calls, as long as the weights file stays the same."""
    checked = CheckedArguments(**arguments)
    return _cached_codec(checked, tuple(registry.identity(path) for path in checked.files if path is not None))


_ARGUMENTS = keyword_parameters(Arguments, CheckedArguments)
_DECODE_PARAMETERS = [*keyword_parameters(DecodeKeywords, DecodeOptions), *_ARGUMENTS]


class _EncodeKeywords(Arguments, EncodeKeywords, total=False):
    """Keywords of `encode`."""


class _DecodeKeywords(Arguments, DecodeKeywords, total=False):
    """Keywords of `decode` and `decode_image`."""


class _CreateKeywords(Arguments, StreamKeywords, total=False):
    """Keywords of `create`."""


def _split(keywords: Mapping[str, Any]) -> tuple[Codec, dict[str, Any]]:
    """Separates `Arguments` from other keywords; returns their codec, and the others."""
    arguments = {name: value for name, value in keywords.items() if name in Arguments.__annotations__}
    return _shared(**arguments), {name: value for name, value in keywords.items() if name not in arguments}


@with_parameters(keyword_parameters(EncodeKeywords, EncodeOptions), _ARGUMENTS)
def encode(
    image: Image.Image | np.ndarray,
    /,
    quality: int | None = None,
    *,
    metadata: Mapping[str, bytes] | None = None,
    progress: Callable[[float], None] | None = None,
    **keywords: Unpack[_EncodeKeywords],
) -> bytes:
    """Codes a Pillow image, or an array of uint8 or uint16, to the bytes of a `.cae` file: see `Codec` and `Codec.encode`.

    >>> import codec, numpy as np
    >>> ramp = np.linspace(0, 255, 64 * 48 * 3).astype(np.uint8).reshape(48, 64, 3)
    >>> data = codec.encode(ramp, quality=80)
    >>> decoded = codec.decode(data)
    >>> decoded.shape, bool(abs(decoded.astype(int) - ramp).mean() < 3)
    ((48, 64, 3), True)
    """
    shared, options = _split(keywords)
    return shared.encode(image, quality, metadata=metadata, progress=progress, **options)


@with_parameters(arguments=_DECODE_PARAMETERS)
def decode(data: Buffer, /, **keywords: Unpack[_DecodeKeywords]) -> np.ndarray:
    """Decodes a `.cae` file's bytes to an array: see `Codec` and `Codec.decode`.

    >>> import codec, numpy as np
    >>> data = codec.encode(np.zeros((100, 200, 3), np.uint8))
    >>> codec.decode(data, region=(150, 0, 50, 20)).shape
    (20, 50, 3)
    """
    shared, options = _split(keywords)
    return shared.decode(data, **options)


@with_parameters(arguments=_DECODE_PARAMETERS)
def decode_image(data: Buffer, /, **keywords: Unpack[_DecodeKeywords]) -> Image.Image:
    """Decodes a `.cae` file's bytes to a Pillow image: see `Codec` and `Codec.decode_image`.

    >>> import codec
    >>> from PIL import Image
    >>> codec.decode_image(codec.encode(Image.new("LA", (5, 7)))).mode
    'LA'
    """
    shared, options = _split(keywords)
    return shared.decode_image(data, **options)


@with_parameters(arguments=_ARGUMENTS)
def open(
    file: File, /, *, on_error: OnError = "raise", cache: int = DEFAULT_CACHE, **arguments: Unpack[Arguments]
) -> PictureReader:
    """Opens a `.cae` file to read regions or tiles of it: see `Codec` and `Codec.open`.

    >>> import codec, numpy as np
    >>> with codec.open(codec.encode(np.zeros((100, 200, 3), np.uint8))) as picture:
    ...     picture.size, picture.mode, picture.read(region=(150, 0, 50, 20)).shape
    ((200, 100), 'RGB', (20, 50, 3))
    """
    return _shared(**arguments).open(file, on_error=on_error, cache=cache)


@with_parameters(keyword_parameters(StreamKeywords, EncodeOptions), _ARGUMENTS)
def create(
    file: str | PathLike[str] | BinaryIO,
    /,
    size: tuple[int, int],
    mode: str,
    *,
    quality: int | None = None,
    metadata: Mapping[str, bytes] | None = None,
    progress: Callable[[float], None] | None = None,
    **keywords: Unpack[_CreateKeywords],
) -> PictureWriter:
    """Begins a `.cae` file for a picture that comes row by row: see `Codec` and `Codec.create`.

    >>> import codec, io, numpy as np
    >>> file = io.BytesIO()
    >>> with codec.create(file, (200, 100), "L", quality=30) as out:
    ...     for row in range(100):
    ...         out.write(np.full((1, 200), row, np.uint8))
    >>> codec.decode(file.getbuffer()).shape
    (100, 200)
    """
    shared, options = _split(keywords)
    return shared.create(file, size, mode, quality=quality, metadata=metadata, progress=progress, **options)
