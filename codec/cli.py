"""The commands `cae-encode`, `cae-decode` and `cae-info`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from . import __version__
from .config import PIXELS_MAX
from .errors import CaeError
from .information import info


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(name, description=description)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (default: CUDA if it works)"
    )
    parser.add_argument("-j", "--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights file (default: the one that comes with the codec)"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=PIXELS_MAX,
        metavar="N",
        help=f"refuse larger pictures, which may be forged to use up memory (default: {PIXELS_MAX})",
    )


@contextlib.contextmanager
def _on_sigterm(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def reporting(program: str, at_out_of_memory: str = "use fewer threads (-j 1), smaller tiles, or --region") -> Iterator[None]:
    """Turns errors and warnings into one line on stderr each; errors end the program with status 1.

    SIGTERM ends it as Ctrl-C does, so that no partial file stays behind.
    """

    def show(message, *_args, **_kwargs) -> None:
        print(f"{program}: warning: {message}", file=sys.stderr)

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    with warnings.catch_warnings(), _on_sigterm(end):
        warnings.showwarning = show
        try:
            yield
            if sys.stdout is not None:
                sys.stdout.flush()
        except CaeError as error:
            sys.exit(f"{program}: {error}")
        except OSError as error:
            if sys.stdout is not None:
                # python would complain once more at its end of what it cannot write
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            # at a broken pipe, whoever read the output has what it wanted
            sys.exit(128 + signal.SIGPIPE if isinstance(error, BrokenPipeError) else f"{program}: {error}")
        except (MemoryError, RuntimeError) as error:
            # torch reports the CPU's memory as a plain RuntimeError
            if not isinstance(error, MemoryError) and not re.search("(out of|allocate) memory", str(error)):
                raise
            sys.exit(f"{program}: out of memory; {at_out_of_memory}")
        except KeyboardInterrupt:
            sys.exit(130)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}") from None


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of an error that arises with it."""
    try:
        yield
    except CaeError as error:
        raise CaeError(f"{path}: {error}") from None


def _region(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height")
    return tuple(int(part) for part in parts)


def encode_main(arguments: list[str] | None = None) -> None:
    """Entry point of `cae-encode`."""
    parser = _parser("cae-encode", "Encode an image file (PNG, JPEG, TIFF, WebP, AVIF, …) to a .cae file.")
    parser.add_argument("input", type=Path, metavar="IN", help="image file")
    parser.add_argument("output", type=Path, metavar="OUT", help=".cae file to write")
    parser.add_argument("-q", "--quality", type=int, default=50, metavar="Q", help="1 (smallest file) to 100 (default: 50)")
    parser.add_argument(
        "--tile", type=int, default=1024, metavar="N", help="side of a tile in pixels, a multiple of 64 (default: 1024)"
    )
    _add_running(parser)
    given = parser.parse_args(arguments)
    with reporting(parser.prog):
        from . import files

        files.check_target(given.output, given.input)
        picture = files.read_image(given.input, given.max_pixels)

        from . import Codec

        codec = Codec(weights=given.weights, device=given.device, threads=given.threads)
        data = codec.encode_picture(picture, given.quality, tile=given.tile)
        with files.replacing(given.output) as file:
            file.write(data)


def decode_main(arguments: list[str] | None = None) -> None:
    """Entry point of `cae-decode`."""
    parser = _parser("cae-decode", "Decode a .cae file, or a region of it, to an image file; the suffix names the format.")
    parser.add_argument("input", type=Path, metavar="IN", help=".cae file")
    parser.add_argument("output", type=Path, metavar="OUT", help="image file to write, such as picture.png")
    parser.add_argument("--region", type=_region, metavar="x,y,w,h", help="decode only these pixels")
    _add_running(parser)
    given = parser.parse_args(arguments)
    with reporting(parser.prog):
        from . import files

        files.check_target(given.output, given.input)
        files.check_format(given.output)
        data = _read_bytes(given.input)
        with _naming(given.input):
            info(data)

        from . import Codec

        codec = Codec(weights=given.weights, device=given.device, threads=given.threads, pixels_max=given.max_pixels)
        with _naming(given.input):
            picture = codec.decode_picture(data, given.region)
        files.write_image(given.output, picture)


def info_main(arguments: list[str] | None = None) -> None:
    """Entry point of `cae-info`."""
    parser = _parser("cae-info", "Say what a .cae file holds, without decoding it.")
    parser.add_argument("input", type=Path, metavar="FILE", help=".cae file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    with reporting(parser.prog):
        data = _read_bytes(given.input)
        with _naming(given.input):
            facts = dataclasses.asdict(info(data))
        if given.json:
            print(json.dumps(facts, indent=2))
            return
        facts["bits_per_pixel"] = f"{facts['bits_per_pixel']:.4f}"
        facts["metadata"] = ", ".join(f"{name.strip()} {size} bytes" for name, size in facts["metadata"].items()) or "none"
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<15} {value}")
