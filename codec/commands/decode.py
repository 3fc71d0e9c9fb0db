"""The command `cae-decode`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from ..options import DecodeOptions
from ..outputs import check_target
from . import common


def _region(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(" *[0-9]{1,10} *", part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height")
    return tuple(int(part) for part in parts)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `cae-decode`."""
    parser = common.parser(
        "cae-decode",
        "Decode a .cae file, or a region of it, to an image or .npy file; the suffix names the format. "
        "Large TIFF, PNG, PPM and .npy files are written by pieces.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help=".cae file")
    parser.add_argument("output", type=Path, metavar="OUT", help="image file to write, such as picture.png")
    parser.add_argument("--region", type=_region, metavar="x,y,w,h", help="decode only these pixels")
    parser.add_argument(
        "--keep-going", action="store_true", help="fill damaged tiles from what surrounds them, and name them in a warning"
    )
    parser.add_argument(
        "--decoder", metavar="NAME|FILE", help="another decoder for the weights: an installed one, or a .safetensors file"
    )
    common.add_running(parser)
    given = parser.parse_args(arguments)
    with common.reporting(parser.prog):
        from ..format.limits import PIXELS_MAX, check_size
        from ..images import files, streams
        from . import coded_files

        check_target(given.output, given.input)
        streams.check_format(given.output)
        coded = coded_files.read(given.input)
        header, metadata = coded.header, coded.metadata
        options = DecodeOptions(given.region, "fill" if given.keep_going else "raise")
        width, height = given.region[2:] if given.region else (header.width, header.height)
        by_pieces = streams.by_pieces(given.output, (width, height), header.channels, metadata)
        with common.naming(given.input):
            if by_pieces:
                streams.check_streamed(width, height, given.max_pixels)
                limit = sys.maxsize if given.max_pixels is None else given.max_pixels
            else:
                limit = PIXELS_MAX if given.max_pixels is None else given.max_pixels
                advice = f" (--max-pixels) for {given.output.suffix} files, which are written whole; {streams.STREAMING}"
                check_size(width, height, limit, advice)

        from .. import Codec

        codec = Codec(
            weights=given.weights, decoder=given.decoder, device=given.device, threads=given.threads, pixels_max=limit
        )
        if by_pieces:
            bands = common.progress(coded.bands(codec, options), width * height, given.input.name)
            threads = given.threads or os.cpu_count() or 1
            streams.write_bands(given.output, (width, height), header.channels, metadata, bands, threads)
        else:
            files.write_image(given.output, coded.picture(codec, options))
