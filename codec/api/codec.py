"""The class `Codec`: encoding and decoding for applications."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack

import numpy as np
from PIL import Image

from ..coding.coding_maps import CodingMaps
from ..coding.jobs import EncodeJob
from ..coding.settings import Settings
from ..errors import CaeError, TooLargeError, advised
from ..format.buffers import Buffer, as_bytes, drop_traceback
from ..format.header import Header
from ..format.limits import check_size
from ..images import picture as pictures
from ..images import streams
from ..images.picture import Picture
from ..images.samples import bits_of
from ..networks.decoding import DecoderNetworks
from ..options import (
    DEFAULT_CACHE,
    DEFAULT_INSPECTION_QUALITY,
    MAPS,
    DecodeKeywords,
    DecodeOptions,
    EncodeKeywords,
    EncodeOptions,
    OnError,
    StreamKeywords,
)
from ..runtime.forking import fork_safe
from ..runtime.threads import thread_count
from ..runtime.warning import warn
from .arguments import Arguments, CheckedArguments, keyword_parameters, with_parameters
from .loading import NetworkLoader
from .reader import File, PictureReader
from .writer import PictureWriter, channels_of, checked_metadata, checked_size

if TYPE_CHECKING:
    from ..networks.model import Model

_WHOLE = ", of pictures that are held whole; give it row by row to `create`, or raise the limit (pixels_max)"


class Codec:
    """A codec that keeps its weights loaded from call to call. Safe to use from several threads at once.

    It can be pickled, as long as the weights file is found on the other side, where it is loaded again.

    Args:
        tune: what encoding is for: "eye" (None: that) for people who look at pictures, "psnr" for the squared error.
            Decoding takes the weights that a file names.
        weights: a weights file (.safetensors) in place of those that come with the package.
        encoder: another encoder for the latents of these weights, a file or the name of an installed one. Without `tune` and
            `weights` it takes the model that it belongs to.
        decoder: another decoder, likewise.
        device: "auto" or None (CUDA where it works, else the CPU), "cpu", "cuda" or "cuda:1", or a torch.device. A GPU whose
            memory is used up gives way to the CPU, with a warning. On the CPU, NumPy decodes small pictures while nobody has
            imported torch.
        threads: number of CPU threads, at most 4 for each processor; None takes all processors of this process. NumPy's own
            threads do not count.
        bf16: run the transforms in bfloat16 (True) or float32 (False); None decodes in float32, so that pixels agree on
            every machine within one 8-bit level and 0.01 dB, and encodes in bfloat16 where that is faster.
        pixels_max: largest picture or region, in pixels, that `decode` returns and `encode` takes.

    Raises:
        CaeError: for weights, a device or a number of threads that cannot be used; for an encoder when it is first needed.

    >>> import numpy as np
    >>> codec = Codec(device="cpu")
    >>> gray = np.full((20, 30), 128, np.uint8)
    >>> codec.decode(codec.encode(gray, quality=90)).shape
    (20, 30)
    """

    @with_parameters(arguments=keyword_parameters(Arguments, CheckedArguments))
    def __init__(self, **arguments: Unpack[Arguments]) -> None:
        self._arguments = checked = CheckedArguments(**arguments)
        self._settings = Settings(thread_count(checked.threads), bf16=checked.bf16, pixels_max=checked.pixels_max)
        self._networks = NetworkLoader(checked)

    def __reduce__(self) -> tuple[object, ...]:
        return unpickle, (vars(self._arguments), self._networks.id)

    def __copy__(self) -> Codec:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Codec:
        return self

    @fork_safe
    @with_parameters(keyword_parameters(EncodeKeywords, EncodeOptions))
    def encode(
        self,
        image: Image.Image | np.ndarray,
        /,
        quality: int | None = None,
        *,
        metadata: Mapping[str, bytes] | None = None,
        progress: Callable[[float], None] | None = None,
        **options: Unpack[EncodeKeywords],
    ) -> bytes:
        """Codes a picture to the bytes of a `.cae` file.

        Args:
            image: a Pillow image, or an array of uint8 or uint16: (H, W), (H, W, 1), (H, W, 2: gray and alpha), (H, W, 3) or
                (H, W, 4). Alpha is kept without loss; a Pillow image's ICC profile, EXIF and XMP are kept as they are.
            quality: 1 (smallest file) to 100; None takes 70, where nothing else is named in its place.
            tile: side in pixels of the tiles that decode alone, a multiple of 64 up to 2048.
            effort: 1 (fastest) to 5 (smallest file at the same quality). From 3 on symbols are searched for: 3 takes 10
                to 20 times as long as 2, each further one 2 to 3 times as long as the last. Decoding takes no longer.
            lossless: in place of the quality, code every pixel exactly. Otherwise only parts that cost less so are exact, such
                as text and drawings.
            target_size: in place of the quality, the most bytes that the file may have.
            target_bpp: likewise, the most bits per pixel.
            target_psnr: likewise, the PSNR in dB of the visible colours, which the picture reaches within 0.05 dB.
            target_score: likewise, the SSIMULACRA 2 of the visible colours, within 0.25 points; 90 looks like the original.
            depth: bits of uint16 samples, 9 to 16 (None: 16), so that 2**depth - 1 is white. Name it for cameras of 12 bits,
                say: errors count as shares of white.
            metadata: replaces the metadata of a Pillow image (None: its own): ICC profile, EXIF block, XMP packet, CICP,
                mastering display and light level under `iccp`, `exif`, `xmp `, `cicp`, `mdcv` and `clli`.
            progress: called with numbers of pixels that are done, on any thread, which add up to the picture's; for a target
                again for each file that is tried.

        A target takes about three times as long, a PSNR or score five times. A RuntimeWarning says where it is missed: by a
        file that is more than 2 % smaller, or at the ends of the qualities.

        Raises:
            CaeError: for an image, quality, tile size, effort or target that cannot be coded, for options that contradict
                each other or the encoder, and for more pixels than `pixels_max`; use `create` for these.
        """
        options = EncodeOptions(quality, **options)
        picture = _picture_of(image)
        height, width = picture.colour.shape[:2]
        try:
            check_size(width, height, self._settings.pixels_max, depth=picture.depth)
        except TooLargeError as error:
            raise advised(error, {TooLargeError: _WHOLE}) from None
        picture = picture.in_own_depth(options.depth)
        pixels = picture.pixels
        depth = options.depth_of(bits_of(pixels.dtype))
        sections = picture.metadata if metadata is None else checked_metadata(metadata)
        size = width, height
        job = EncodeJob.of(self._model, self._settings, size, pixels.shape[2], options, depth, progress)
        if depth > 8 and (bits := options.likely_depth(largest := int(picture.colour.max()), depth)):
            warn(
                f"no sample of its colours is above {largest} of 65535; if they have {bits} bits, say depth={bits} "
                "for a finer picture"
            )
        # these need torch, which decoding does not
        from ..coding.encoder import encode as encode_pixels
        from ..coding.rate_control import encode_to_target

        if not options.has_target:
            return encode_pixels(pixels, job, sections)
        result = encode_to_target(pixels, job, sections)
        if result.missed:
            warn(result.missed)
        return result.data

    @fork_safe
    def inspect(
        self, image: Image.Image | np.ndarray, /, quality: int = DEFAULT_INSPECTION_QUALITY, *, maps: Sequence[str] = MAPS
    ) -> CodingMaps:
        """Measures what coding a picture costs and loses at each place, for the heat maps of `inspection.Statistics`.

        Args:
            image: as `encode` takes it; alpha is left out of account.
            quality: 1 to 100.
            maps: heat maps to measure for, of "error", "surprise" and "distance"; the last alone takes the least time.

        Raises:
            CaeError: for an image that cannot be encoded, an unknown quality or map, and more than `pixels_max` pixels.
        """
        if unknown := set(maps) - set(MAPS):
            raise CaeError(f"maps {', '.join(sorted(map(str, unknown)))}: there are {', '.join(MAPS)}")
        picture = _picture_of(image)
        height, width, colours = picture.colour.shape
        check_size(width, height, self._settings.pixels_max, depth=picture.depth)
        job = EncodeJob.of(self._model, self._settings, (width, height), colours, EncodeOptions(quality), picture.depth)
        from ..coding.mapping import make_coding_maps  # needs torch

        return make_coding_maps(picture.colour, job, maps)

    @drop_traceback
    @with_parameters(arguments=keyword_parameters(DecodeKeywords, DecodeOptions))
    def decode(self, data: Buffer, /, **options: Unpack[DecodeKeywords]) -> np.ndarray:
        """Decodes a `.cae` file's bytes to an array (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), uint8 or uint16 as it was.

        Args:
            data: the file's bytes, or any buffer that holds them: a mapped file, a NumPy array, a memoryview.
            region: (x, y, width, height) in pixels; only the tiles that it needs are decoded, and the result equals that
                crop of the whole picture by the same library.
            on_error: "fill" fills tiles that are damaged or missing at the end of the file from their neighbours (alpha:
                opaque), and names them in one RuntimeWarning. Pixels further from them than the synthesis reaches are exact.
            scale: 2, 1, 1/2, 1/4 or 1/8 (a float or a Fraction). A picture of W x H pixels becomes one of ⌈W·scale⌉ x
                ⌈H·scale⌉. At smaller sizes each of these stands for a square of 1/scale pixels, counted from the top left
                (less at the other edges). At 2 they are made by an enlarging decoder of the weights, or by Lanczos' filter,
                and screen content becomes squares of its pixels. A region is in pixels of the full size; the result has all
                pixels that it touches.

        Raises:
            CaeError: for a damaged or foreign file, unknown weights, or a region outside the picture.
        """
        options = DecodeOptions(**options)
        with self.open(as_bytes(data), on_error=options.on_error, cache=0) as picture:
            return picture.read(options.region, options.scale)

    @drop_traceback
    @with_parameters(arguments=keyword_parameters(DecodeKeywords, DecodeOptions))
    def decode_image(self, data: Buffer, /, **options: Unpack[DecodeKeywords]) -> Image.Image:
        """Like `decode`, but gives a Pillow image, with ICC profile, EXIF and XMP in its `info`.

        Of more than 8 bits a sample, Pillow holds gray alone (mode I;16); other pictures are rounded to 8.
        """
        options = DecodeOptions(**options)
        with self.open(as_bytes(data), on_error=options.on_error, cache=0) as picture:
            pixels = pictures.from_array(picture.read(options.region, options.scale), picture.depth)
            return pictures.to_pillow(dataclasses.replace(pixels, metadata=picture.metadata))

    @fork_safe
    def open(self, file: File, /, *, on_error: OnError = "raise", cache: int = DEFAULT_CACHE) -> PictureReader:
        """Opens a `.cae` file; only its header and index are read until pixels are asked for.

        Args:
            file: a path, an open binary file that seeks (such as fsspec's, of a web server or a cloud), or the file's bytes.
            on_error: behaviour at damaged tiles, see `decode`.
            cache: bytes of decoded tiles that are kept for later calls of `read` (a tile of 1024 x 1024 pixels takes 3 MB).

        Raises:
            CaeError: for a damaged or foreign file, and for unknown weights.
        """
        picture = PictureReader(file, self._decoding, on_error, cache)
        try:
            picture.load()
        except BaseException:
            picture.close()
            raise
        return picture

    @with_parameters(keyword_parameters(StreamKeywords, EncodeOptions))
    def create(
        self,
        file: str | PathLike[str] | BinaryIO,
        /,
        size: tuple[int, int],
        mode: str,
        *,
        quality: int | None = None,
        metadata: Mapping[str, bytes] | None = None,
        progress: Callable[[float], None] | None = None,
        **options: Unpack[StreamKeywords],
    ) -> PictureWriter:
        """Begins a `.cae` file for a picture that comes row by row and need not fit in memory.

        Args:
            file: a path, or a seekable binary file, which is written from its position 0 on and replaces what it holds.
            size: width and height in pixels.
            mode: L, LA, RGB or RGBA.
            quality, tile, effort, lossless: as `encode` has them.
            depth: bits of a sample; from 9 to 16 the rows are uint16 (None: 8).
            metadata: as `PictureReader.metadata` gives it.
            progress: as `encode` has it.

        Raises:
            CaeError: for a size, mode or option that the format does not have, and for a file that cannot be written.
            TypeError: for a target, which needs the whole picture.
        """
        chosen = EncodeOptions(quality, **options)
        if chosen.has_target:
            raise TypeError(f"create() takes no {', '.join(chosen.targets)}: a target needs the whole picture; use encode()")
        shape = checked_size(size), channels_of(mode)
        job = EncodeJob.of(self._model, self._settings, *shape, chosen, chosen.depth or 8, progress)
        return PictureWriter(file, job, checked_metadata(metadata))

    @property
    def _model(self) -> Model:
        """The model that encodes; CaeError where torch is not installed."""
        return self._networks.for_encoding()

    def _decoding(self, header: Header) -> tuple[DecoderNetworks, Settings]:
        """The networks for a file, and how to run them."""
        return self._networks.for_decoding(header), self._settings


def open_lazily(
    file: File, make_codec: Callable[[], Codec], *, on_error: OnError = "raise", cache: int = DEFAULT_CACHE
) -> PictureReader:
    """Opens a file as `Codec.open` does, but makes the codec, and loads weights, only when pixels are asked for."""
    return PictureReader(file, lambda header: make_codec()._decoding(header), on_error, cache)


def _picture_of(image: Image.Image | np.ndarray) -> Picture:
    if isinstance(image, Image.Image):
        return streams.read_full_depth(image)
    if isinstance(image, np.ndarray):
        return pictures.from_array(image)
    raise CaeError(f"cannot encode a {type(image).__name__}; pass a Pillow image or a NumPy array")


def unpickle(arguments: dict[str, Any], model_id: bytes) -> Codec:
    """Makes a codec from the arguments of a pickled one; CaeError where the weights there now are others."""
    codec = Codec(**arguments)
    networks = codec._networks
    if networks.id != model_id:
        raise CaeError(
            f"{networks.path}: has weights with the id {networks.id.hex()}, but the codec was pickled with "
            f"{model_id.hex()}; use the same weights on both sides"
        )
    return codec
