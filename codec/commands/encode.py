"""The command `cae-encode`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..advice import encoder_advice
from ..cli.arguments import add_file_arguments, add_resource_arguments, create_parser, parse_files
from ..cli.messages import advise, name_pixel_limit, prefix_errors, report_errors
from ..cli.values import parse_bytes, parse_integer, parse_positive, parse_tile
from ..errors import SampleError, UsageError
from ..options import (
    DEFAULT_EFFORT,
    DEFAULT_QUALITY,
    DEFAULT_TILE,
    DENOISE,
    DEPTHS,
    EFFORTS,
    QUALITIES,
    SEARCHED_FROM,
    TARGETS,
    TUNES,
    EncodeOptions,
    check_agreement,
)
from ..runtime.atomic_write import atomic_write, check_target
from ..runtime.warning import warn
from .batch.run import run
from .batch.task import Summary, Task, Tools

if TYPE_CHECKING:
    import numpy as np

    from ..api.codec import Codec
    from ..format.info import Info
    from ..images.streams.bands import BandSource

_SUMMARY = ("width", "height", "mode", "depth", "quality", "lossless", "tile", "bytes", "bits_per_pixel")
"""Facts of a written file that reports show."""


@dataclasses.dataclass(frozen=True)
class Encoding:
    """The work of `cae-encode`."""

    arguments: argparse.Namespace
    suffix = ".cae"

    def check_output(self, name: str) -> None:
        """Raises UsageError if a name is that of a folder, or does not end in .cae without --force."""
        if Path(name).is_dir():
            raise UsageError(f"{name}: is a folder; name a .cae file, or pass -o {name}")
        # `cae-encode *.png` of two files would replace the second
        if not self.arguments.force and not name.lower().endswith(self.suffix):
            raise UsageError(f"{name}: does not end in .cae; name a .cae file, or pass --force to write to it")

    def accepts(self, path: Path) -> bool:
        """Returns True if a file is an image file, by its name."""
        from ..images import streams
        from ..images.plugins import PLUGIN_SUFFIXES

        # without their packages, HEIC and JPEG XL are refused with the packages' names
        return path.suffix.lower() in streams.suffixes() | PLUGIN_SUFFIXES

    def count_pixels(self, path: Path) -> int:
        """Returns the pixels of an image file."""
        from ..images import streams

        return streams.count_pixels(path)

    def run(self, task: Task, tools: Tools) -> Summary:
        """Encodes a file."""
        from ..format.limits import PIXELS_MAX, check_size
        from ..images import streams
        from ..images.metadata import select_metadata
        from ..images.streams.bands import read_ahead
        from ..networks.registry import expected_score

        arguments = self.arguments
        check_target(task.target, task.source)
        names = (field.name for field in dataclasses.fields(EncodeOptions))
        options = EncodeOptions(**{name: getattr(arguments, name) for name in names})
        pixels_max = PIXELS_MAX if arguments.max_pixels is None else arguments.max_pixels
        with name_pixel_limit(), streams.open_picture(task.source, arguments.max_pixels) as source:
            with prefix_errors(task.source):
                source = source.in_own_depth(arguments.depth)
                if options.has_target:
                    advice = " for a target, which takes it whole"
                    check_size(source.width, source.height, pixels_max, advice, source.depth)
            with advise(encoder_advice(arguments.encoder, "--encoder")):
                codec = tools.codec(tune=arguments.tune, encoder=arguments.encoder, pixels_max=pixels_max)
            bands, pixels, name = read_ahead(source.bands), source.width * source.height, task.source.name
            # nobody knows how many files are tried for a target
            with tools.monitor.track_work(None if options.has_target else pixels, name) as progress:
                bands = _counting(bands, progress)
                metadata = select_metadata(source.metadata, arguments.keep)
                source = dataclasses.replace(source, bands=bands, metadata=metadata)
                try:
                    info = encode_file(task.target, source, codec, options, progress, task.source)
                except SampleError as error:
                    raise error.prefixed(f"{task.source}: ") from None
        score = expected_score(bytes.fromhex(info.model_id), info.quality)
        return {name: getattr(info, name) for name in _SUMMARY} | {"expected_score": score}


def _counting(bands: Iterator[np.ndarray], progress: Callable[[float], None]) -> Iterator[np.ndarray]:
    """Yields the bands, and reports progress of no pixels before each: there a cancelled command stops."""
    for band in bands:
        progress(0)
        yield band


def encode_file(
    path: Path,
    source: BandSource,
    codec: Codec,
    options: EncodeOptions,
    progress: Callable[[float], None] | None = None,
    source_path: Path | None = None,
) -> Info:
    """Encodes a picture to a file; for a target, as a whole in memory.

    Args:
        path: the file to write.
        source: the picture.
        codec: the codec.
        options: the options, whose depth may be None.
        progress: called with numbers of pixels searched, as `Codec.encode` does.
        source_path: the file that the picture comes from, for messages.

    Returns:
        The facts of the file.
    """
    import numpy as np

    from ..format.header import MODES
    from ..format.info import info as info_of_bytes

    depth = options.depth_of(source.depth)
    keywords = dataclasses.asdict(options) | {"depth": depth, "metadata": source.metadata, "progress": progress}
    if options.has_target:
        pixels = np.concatenate(list(source.bands))
        largest = int(pixels[..., : source.channels - (source.channels in (2, 4))].max())
        data = codec.encode(pixels, **keywords)
        with atomic_write(path) as file:
            file.write(data)
        info = info_of_bytes(data)
    else:
        keywords = {name: value for name, value in keywords.items() if name not in TARGETS}
        with codec.create(path, (source.width, source.height), MODES[source.channels], **keywords) as writer:
            for rows in source.bands:
                writer.write(rows)
        largest, info = writer.largest_sample, writer.info
    if bits := options.likely_depth(largest, depth):
        message = f"{source_path or path}: no sample of its colours is above {largest} of 65535; if they have {bits} bits"
        warn(f"{message}, pass --depth {bits} for a finer picture")
    return info


def main(words: list[str] | None = None) -> None:
    """Runs `cae-encode` with the words of a command line (None: the process's own)."""
    parser = create_parser(
        "cae-encode",
        "Encode an image file (PNG, JPEG, TIFF, WebP, AVIF, GIF, BMP, JPEG 2000 and what else Pillow reads; HEIC with "
        "pillow-heif, JPEG XL with pillow-jxl-plugin) or a .npy file of uint8 or uint16 to a .cae file. Large TIFF, PNG, PPM "
        "and .npy files are read in bands.",
    )
    add_file_arguments(parser, "image file", "file to write, whose name ends in .cae")
    parser.add_argument(
        "-q",
        "--quality",
        type=parse_integer(QUALITIES[0], QUALITIES[-1]),
        metavar="Q",
        help=f"1 (smallest file) to 100 (default: {DEFAULT_QUALITY})",
    )
    parser.add_argument("--lossless", action="store_true", help="keep every pixel exactly")
    parser.add_argument(
        "--target-size",
        type=parse_bytes,
        metavar="BYTES",
        help="choose the quality at which the file takes at most so many bytes (200k, 1.5M)",
    )
    parser.add_argument("--target-bpp", type=parse_positive, metavar="B", help="likewise, at most so many bits per pixel")
    parser.add_argument("--target-psnr", type=parse_positive, metavar="DB", help="likewise, a PSNR of so many dB")
    parser.add_argument("--target-score", type=parse_positive, metavar="N", help="likewise, N points of SSIMULACRA 2")
    parser.add_argument(
        "--tile",
        type=parse_tile,
        default=DEFAULT_TILE,
        metavar="N",
        help="side of a tile in pixels, a multiple of 64 (default: %(default)s)",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=parse_integer(EFFORTS[0], EFFORTS[-1]),
        default=DEFAULT_EFFORT,
        metavar="E",
        help="1 (fastest) to 5 (smallest); from 3 on the encoder searches for symbols, which takes 10 to 20 times as long as "
        "2, and each further effort 2 to 3 times longer (default: %(default)s)",
    )
    parser.add_argument(
        "--depth",
        type=parse_integer(DEPTHS[0], DEPTHS[-1]),
        metavar="BITS",
        help="bits of a sample, such as a camera's 12, where the file has 16",
    )
    parser.add_argument("--force", action="store_true", help="write to OUT even if its name does not end in .cae")
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument(
        "--encoder", metavar="NAME|FILE", help="another encoder for the weights: an installed one, or a .safetensors file"
    )
    encoder.add_argument(
        "--denoise",
        dest="encoder",
        action="store_const",
        const=DENOISE,
        help="remove noise, by the encoder for that, if it is installed",
    )
    parser.add_argument(
        "--tune", choices=TUNES, help=f"encode for people who look at the picture, or for PSNR (default: {TUNES[0]})"
    )
    add_resource_arguments(parser)
    arguments = parse_files(parser, words)
    try:
        check_agreement(_chosen(arguments))
    except UsageError as error:
        parser.error(str(error))
    with report_errors(parser.prog, quiet=arguments.quiet):
        run(Encoding(arguments), parser.prog)


def _chosen(arguments: argparse.Namespace) -> dict[str, str]:
    """Returns the chosen names of `CONTRADICTIONS`, each with its option as it is written."""
    rates = ("quality", "lossless", *TARGETS)
    chosen = {name: f"--{name.replace('_', '-')}" for name in rates if getattr(arguments, name) not in (None, False)}
    if arguments.effort >= SEARCHED_FROM:
        chosen["effort"] = f"--effort {arguments.effort}"
    chosen |= {name: f"--{name}" for name in ("tune", "weights") if getattr(arguments, name)}
    if arguments.encoder is not None:
        chosen["encoder"] = "--denoise" if arguments.encoder == DENOISE else "--encoder"
    if arguments.encoder == DENOISE:
        chosen["denoising"] = "--denoise"
    return chosen
