"""The command `cae-encode`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
from pathlib import Path

from ..cli.arguments import add_file_arguments, add_resource_arguments, create_parser, parse_files
from ..cli.messages import prefix_errors, report_errors
from ..errors import CaeError
from ..options import DEFAULT_EFFORT, DEFAULT_QUALITY, DEFAULT_TILE, DENOISE, TARGETS, TUNES, EncodeOptions
from ..runtime.atomic_write import check_target
from .batch.run import run
from .batch.task import Summary, Task, Tools

_WHOLE = " (--max-pixels) for a target, which takes it whole"


@dataclasses.dataclass(frozen=True)
class Encoding:
    """The work of `cae-encode`."""

    arguments: argparse.Namespace
    suffix = ".cae"

    def accepts(self, path: Path) -> bool:
        """Whether a file is a picture, by its name."""
        from ..images import streams

        return path.suffix.lower() in streams.suffixes()

    def count_pixels(self, path: Path) -> int:
        """Pixels of a picture."""
        from ..images import streams

        return streams.pixel_count(path)

    def run(self, task: Task, tools: Tools) -> Summary:
        """Encodes a file."""
        from ..format.limits import PIXELS_MAX, check_size
        from ..images import streams
        from ..images.metadata import kept
        from ..images.streams.pieces import read_ahead
        from . import coded_files

        arguments = self.arguments
        check_target(task.target, task.source)
        if not arguments.force and not task.target.name.lower().endswith(self.suffix):
            # cae-encode *.png, of two files, would replace the second
            raise CaeError(f"{task.target}: does not end in .cae; name a .cae file, or pass --force to write to it")
        targets = {name: getattr(arguments, name) for name in TARGETS}
        options = EncodeOptions(
            arguments.quality, arguments.tile, arguments.effort, arguments.lossless, depth=arguments.depth, **targets
        )
        with streams.reading(task.source, arguments.max_pixels) as source:
            with prefix_errors(task.source):
                source = source.in_own_depth(arguments.depth)
            limit = PIXELS_MAX if arguments.max_pixels is None else arguments.max_pixels
            if options.has_target:
                with prefix_errors(task.source):
                    check_size(source.width, source.height, limit, _WHOLE, source.depth)
            codec = tools.codec(encoder=arguments.encoder, pixels_max=limit)
            bands, pixels, name = read_ahead(source.bands), source.width * source.height, task.source.name
            with contextlib.ExitStack() as stack:
                count = None
                if options.searches:
                    # how many files are tried for a target, nobody knows
                    count = stack.enter_context(tools.monitor.track_search(None if options.has_target else pixels, name))
                else:
                    bands = tools.monitor.track_bands(bands, pixels, name, ahead=True)
                source = dataclasses.replace(source, bands=bands, metadata=kept(source.metadata, arguments.keep))
                coded_files.write(task.target, source, codec, options, count)
        return coded_files.facts(task.target)


def main(words: list[str] | None = None) -> None:
    """Entry point of `cae-encode`."""
    parser = create_parser(
        "cae-encode",
        "Encode an image file (PNG, JPEG, TIFF, WebP, AVIF, …) or a .npy file of uint8 or uint16 to a .cae file; "
        "large TIFF, PNG, PPM and .npy files are read by pieces.",
    )
    add_file_arguments(parser, "image file", "file to write, whose name ends in .cae")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        "--quality",
        type=int,
        default=DEFAULT_QUALITY,
        metavar="Q",
        help="1 (smallest file) to 100 (default: %(default)s)",
    )
    rate.add_argument("--lossless", action="store_true", help="keep every pixel exactly")
    rate.add_argument(
        "--target-size", type=_size, metavar="BYTES", help="take the quality at which the file has at most so many (200k, 1.5M)"
    )
    rate.add_argument("--target-bpp", type=float, metavar="B", help="likewise, at most so many bits per pixel")
    rate.add_argument("--target-psnr", type=float, metavar="DB", help="likewise, a PSNR of so many dB")
    parser.add_argument(
        "--tile",
        type=int,
        default=DEFAULT_TILE,
        metavar="N",
        help="side of a tile in pixels, a multiple of 64 (default: %(default)s)",
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=int,
        default=DEFAULT_EFFORT,
        metavar="E",
        help="1 (fastest) to 9 (smallest): symbols are searched from 3 on, in 14 times the time of 2, "
        "with each further one in 2 to 3 times as long (default: %(default)s)",
    )
    parser.add_argument("--depth", type=int, metavar="BITS", help="how many bits of 16 the samples have, such as a camera's 12")
    parser.add_argument("--force", action="store_true", help="write to OUT even where its name does not end in .cae")
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument(
        "--encoder", metavar="NAME|FILE", help="another encoder for the weights: an installed one, or a .safetensors file"
    )
    encoder.add_argument(
        "--denoise",
        dest="encoder",
        action="store_const",
        const=DENOISE,
        help="leave noise out, by the encoder for that, where one is installed",
    )
    encoder.add_argument(
        "--tune",
        dest="encoder",
        choices=TUNES,
        help="for MS-SSIM in place of PSNR, by the encoder for it, where one is installed",
    )
    add_resource_arguments(parser)
    parsed = parse_files(parser, words)
    with report_errors(parser.prog, quiet=parsed.quiet):
        run(Encoding(parsed), parser.prog)


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([kMG]?)i?B?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes such as 200000, 200k or 1.5M")
    unit = 1024 if "i" in text else 1000
    return int(float(found[1]) * unit ** " kMG".index(found[2] or " "))
