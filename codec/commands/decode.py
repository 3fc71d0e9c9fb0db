"""The command `cae-decode`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..advice import damage_advice, weights_advice
from ..cli.arguments import add_file_arguments, add_resource_arguments, create_parser, parse_files
from ..cli.messages import advise, name_pixel_limit, prefix_errors, report_errors
from ..cli.values import parse_region
from ..errors import CaeError, CutOffError, DamageError, ExcessError, TooLargeError, UsageError
from ..options import DECODE_SCALES, SCALES_NAMED, WRITABLE_NAMED, DecodeOptions
from ..runtime.atomic_write import check_target
from .batch.run import run
from .batch.task import Summary, Task, Tools
from .pages import check_options, is_page, write_page

if TYPE_CHECKING:
    import numpy as np

    from ..api.reader import PictureReader

DEFAULT_FORMAT = "png"
"""Suffix of files that are not named by the user."""
_SCALES = "|".join(str(scale) for scale in DECODE_SCALES if scale != 1)
_DECODE_ADVICE = {
    **damage_advice("--keep-going"),
    TooLargeError: "; decode it region by region, or raise the limit (--max-pixels)",
    **weights_advice("--weights"),
}
_GET_AGAIN = "; get the file again, or decode it to an image with --keep-going"
_PAGE_ADVICE = {
    **dict.fromkeys((ExcessError, CutOffError, DamageError), _GET_AGAIN),
    **weights_advice("--weights"),
}


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The work of `cae-decode`."""

    arguments: argparse.Namespace

    @property
    def suffix(self) -> str:
        """Suffix of the image files."""
        return f".{self.arguments.format or DEFAULT_FORMAT}"

    def check_output(self, name: str) -> None:
        """Raises UsageError if a file's suffix names no format that can be written, or another one than --format."""
        from ..images import streams

        try:
            if is_page(Path(name)):
                check_options(self.arguments)
            else:
                streams.output_format(Path(name))
        except CaeError as error:
            message = str(error)
            if self.arguments.format is not None:
                message = f"--format {self.arguments.format}: {message.partition(': ')[2]}"
            raise UsageError(message) from None
        if self.arguments.format is not None and Path(name).suffix.lower() != self.suffix:
            raise UsageError(f"{name}: has another suffix than --format {self.arguments.format}; leave --format out")

    def accepts(self, path: Path) -> bool:
        """Returns True if a file is a coded one, by its name."""
        return path.suffix.lower() == ".cae"

    def count_pixels(self, path: Path) -> int:
        """Returns the pixels to decode, twice as many for high bit depth; reduced sizes count as the full size."""
        from ..format import container
        from ..format.limits import bytes_of
        from ..format.sources import open_source

        with open_source(path) as source, prefix_errors(path):
            header, _ = container.read_beginning(source)
        width, height = self.arguments.region[2:] if self.arguments.region else (header.width, header.height)
        return int(width * height * max(1, self.arguments.scale) ** 2) * bytes_of(header.depth)

    def run(self, task: Task, tools: Tools) -> Summary:
        """Decodes a file, or writes the page that does."""
        if is_page(task.target):
            check_target(task.target, task.source)
            with advise(_PAGE_ADVICE):
                return write_page(task, self.arguments.weights)
        return self._decode(task, tools)

    def _decode(self, task: Task, tools: Tools) -> Summary:
        from ..api.codec import Codec, open_lazily
        from ..format.limits import PIXELS_MAX
        from ..images import streams
        from ..images.metadata import select_metadata
        from ..images.picture import from_array

        arguments = self.arguments
        check_target(task.target, task.source)
        options = DecodeOptions(arguments.region, "fill" if arguments.keep_going else "raise", arguments.scale)

        def make_codec() -> Codec:
            pixels_max = arguments.max_pixels
            if pixels_max is None:
                pixels_max = sys.maxsize if is_streamed else PIXELS_MAX
            return tools.codec(decoder=arguments.decoder, pixels_max=pixels_max)

        with advise(_DECODE_ADVICE), open_lazily(task.source, make_codec, on_error=options.on_error) as reader:
            metadata = select_metadata(reader.metadata, arguments.keep)
            channels, depth, size = len(reader.mode), reader.depth, options.size_of(*reader.size)
            output = task.target, size, channels, metadata, depth
            is_streamed = streams.is_streamed(*output)
            with name_pixel_limit(), prefix_errors(task.source):
                streams.check_output_size(*output, arguments.max_pixels)
            if is_streamed:
                bands = _with_channels(reader.bands(options.region, options.scale), channels)
                bands = tools.monitor.track_bands(bands, size[0] * size[1], task.source.name)
                streams.write_bands(*output[:-1], bands, tools.threads or os.cpu_count() or 1, depth)
            else:
                area = size[0] * size[1]
                with tools.monitor.track_work(area, task.source.name) as progress:
                    pixels = _read_whole(reader, options, progress)
                    streams.write_picture(task.target, dataclasses.replace(from_array(pixels, depth), metadata=metadata))
                    progress(area / 5)
            summary: Summary = {"width": size[0], "height": size[1], "mode": reader.mode, "depth": depth}
            if options.scale != 1:
                summary["resized_by"] = "decoder" if options.scale in reader.scales else "filter"
        return summary | {"bytes": task.target.stat().st_size}


def _read_whole(reader: PictureReader, options: DecodeOptions, progress: Callable[[float], None]) -> np.ndarray:
    """Returns the pixels of a picture that is written whole; reports four fifths of them, band by band."""
    import numpy as np

    width, height = options.size_of(*reader.size)
    pixels, top = None, 0
    for rows in reader.bands(options.region, options.scale):
        if pixels is None:
            pixels = np.empty((height, *rows.shape[1:]), rows.dtype)
        pixels[top : top + len(rows)] = rows
        top += len(rows)
        progress(len(rows) * width * 4 / 5)
    return pixels


def _with_channels(bands: Iterator[np.ndarray], channels: int) -> Iterator[np.ndarray]:
    """Yields the bands as (rows, width, channels), gray too."""
    return (rows.reshape(*rows.shape[:2], channels) for rows in bands)


def main(words: list[str] | None = None) -> None:
    """Runs `cae-decode` with the words of a command line (None: the process's own)."""
    parser = create_parser(
        "cae-decode",
        f"Decode a .cae file, or a region of it, to an image or .npy file; the suffix names the format: {WRITABLE_NAMED}. "
        "A .html file is a page that holds the .cae file and decodes it in any browser. "
        "Large TIFF, PNG, PPM and .npy files are written in bands.",
    )
    add_file_arguments(parser, ".cae file", "image file to write, such as picture.png")
    parser.add_argument(
        "--format",
        type=_parse_suffix,
        metavar="SUFFIX",
        help=f"format of standard output and of many files (default: {DEFAULT_FORMAT})",
    )
    parser.add_argument("--region", type=parse_region, metavar="x,y,w,h", help="decode only these pixels (of the full size)")
    parser.add_argument("--scale", type=_parse_scale, default=1, metavar=_SCALES, help="decode to another size")
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="fill damaged tiles, and tiles missing from a truncated file, from their neighbours, and name them",
    )
    parser.add_argument(
        "--decoder", metavar="NAME|FILE", help="another decoder for the weights: an installed one, or a .safetensors file"
    )
    add_resource_arguments(parser)
    arguments = parse_files(parser, words)
    with report_errors(parser.prog, quiet=arguments.quiet):
        run(Decoding(arguments), parser.prog)


def _parse_scale(text: str) -> Fraction:
    with contextlib.suppress(ValueError, ZeroDivisionError):
        if (scale := Fraction(text.replace(" ", ""))) in DECODE_SCALES:
            return scale
    raise argparse.ArgumentTypeError(f"{text!r} is not {SCALES_NAMED}")


def _parse_suffix(text: str) -> str:
    if not re.fullmatch(r"\.?[A-Za-z0-9]{1,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a suffix such as png")
    return text.removeprefix(".").lower()
