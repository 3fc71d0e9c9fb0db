"""The command `cae-decode`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from fractions import Fraction
from pathlib import Path

from ..cli.arguments import add_file_arguments, add_resource_arguments, create_parser, parse_files, parse_region
from ..cli.messages import prefix_errors, report_errors
from ..options import SCALES_NAMED, DecodeOptions
from ..runtime.atomic_write import check_target
from .batch.run import run
from .batch.task import Summary, Task, Tools


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The work of `cae-decode`."""

    arguments: argparse.Namespace

    @property
    def suffix(self) -> str:
        """Of the image files."""
        return f".{self.arguments.format}"

    def accepts(self, path: Path) -> bool:
        """Whether a file is a coded one, by its name."""
        return path.suffix.lower() == ".cae"

    def count_pixels(self, path: Path) -> int:
        """Pixels of what is decoded, twice as many of deep pictures; of smaller sizes those of the full one."""
        from ..format.limits import bytes_of
        from . import coded_files

        header = coded_files.read(path, cut_off=self.arguments.keep_going).header
        width, height = self.arguments.region[2:] if self.arguments.region else (header.width, header.height)
        return int(width * height * max(1, self.arguments.scale) ** 2) * bytes_of(header.depth)

    def run(self, task: Task, tools: Tools) -> Summary:
        """Decodes a file."""
        from ..format.limits import PIXELS_MAX, check_size
        from ..images import files, streams
        from ..images.metadata import kept
        from . import coded_files

        arguments = self.arguments
        check_target(task.target, task.source)
        streams.check_format(task.target)
        coded = coded_files.read(task.source, cut_off=arguments.keep_going)
        coded = dataclasses.replace(coded, metadata=kept(coded.metadata, arguments.keep))
        header, metadata = coded.header, coded.metadata
        options = DecodeOptions(arguments.region, "fill" if arguments.keep_going else "raise", arguments.scale)
        width, height = options.size_of(header.width, header.height)
        by_pieces = streams.by_pieces(task.target, (width, height), header.channels, metadata, header.depth)
        with prefix_errors(task.source):
            if by_pieces:
                streams.check_streamed(width, height, arguments.max_pixels, header.depth)
                limit = sys.maxsize if arguments.max_pixels is None else arguments.max_pixels
            else:
                limit, advice = PIXELS_MAX if arguments.max_pixels is None else arguments.max_pixels, " (--max-pixels)"
                if not streams.by_pieces(task.target, (streams.WHOLE_MAX + 1, 1), header.channels, metadata, header.depth):
                    advice += f" for {task.target.suffix} files, which are written whole; {streams.STREAMING}"
                check_size(width, height, limit, advice, header.depth)

        codec = tools.codec(decoder=arguments.decoder, pixels_max=limit)
        if by_pieces:
            bands = tools.monitor.track_bands(coded.bands(codec, options), width * height, task.source.name)
            threads = tools.threads or os.cpu_count() or 1
            streams.write_bands(task.target, (width, height), header.channels, metadata, bands, threads, header.depth)
        else:
            files.write_image(task.target, coded.picture(codec, options))
        told: Summary = {"width": width, "height": height, "mode": header.mode, "depth": header.depth}
        if options.scale != 1:
            told["resized_by"] = "decoder" if coded.has_decoder(codec, options) else "filter"
        return told | {"bytes": task.target.stat().st_size}


def main(words: list[str] | None = None) -> None:
    """Entry point of `cae-decode`."""
    parser = create_parser(
        "cae-decode",
        "Decode a .cae file, or a region of it, to an image or .npy file; the suffix names the format. "
        "Large TIFF, PNG, PPM and .npy files are written by pieces.",
    )
    add_file_arguments(parser, ".cae file", "image file to write, such as picture.png")
    parser.add_argument(
        "--format", default="png", type=_suffix, metavar="SUFFIX", help="of standard output, and of many files (default: png)"
    )
    parser.add_argument("--region", type=parse_region, metavar="x,y,w,h", help="decode only these pixels (of the full size)")
    parser.add_argument("--scale", type=_scale, default=1, metavar="2|1/2|1/4|1/8", help="decode to another size")
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="fill damaged tiles, and those that a file which is cut off has no more, from what surrounds them, and name them",
    )
    parser.add_argument(
        "--decoder", metavar="NAME|FILE", help="another decoder for the weights: an installed one, or a .safetensors file"
    )
    add_resource_arguments(parser)
    parsed = parse_files(parser, words)
    with report_errors(parser.prog, quiet=parsed.quiet):
        run(Decoding(parsed), parser.prog)


def _scale(text: str) -> Fraction:
    try:
        return Fraction(text.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not {SCALES_NAMED}") from None


def _suffix(text: str) -> str:
    if not re.fullmatch(r"\.?[A-Za-z0-9]{1,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no suffix such as png")
    return text.removeprefix(".").lower()
