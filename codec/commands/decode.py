"""The command `cae-decode`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..format.information import info
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
        "cae-decode", "Decode a .cae file, or a region of it, to an image file; the suffix names the format."
    )
    parser.add_argument("input", type=Path, metavar="IN", help=".cae file")
    parser.add_argument("output", type=Path, metavar="OUT", help="image file to write, such as picture.png")
    parser.add_argument("--region", type=_region, metavar="x,y,w,h", help="decode only these pixels")
    parser.add_argument(
        "--decoder", metavar="NAME|FILE", help="another decoder for the weights: an installed one, or a .safetensors file"
    )
    common.add_running(parser)
    given = parser.parse_args(arguments)
    with common.reporting(parser.prog):
        from ..images import files

        check_target(given.output, given.input)
        files.check_format(given.output)
        data = common.read_bytes(given.input)
        with common.naming(given.input):
            info(data)

        from .. import Codec

        codec = Codec(
            weights=given.weights,
            decoder=given.decoder,
            device=given.device,
            threads=given.threads,
            pixels_max=given.max_pixels,
        )
        with common.naming(given.input):
            picture = codec.decode_picture(data, DecodeOptions(given.region))
        files.write_image(given.output, picture)
