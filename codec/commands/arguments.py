"""Arguments that the commands share."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .. import __version__
from ..format.limits import PIXELS_MAX
from .common import one_line, reporting

PARTS = ("exif", "icc", "xmp")
"""Parts of the metadata."""
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


class _Completion(argparse.Action):
    """Prints a script that completes the command's options and files."""

    def __call__(self, parser: argparse.ArgumentParser, *values: object, **_: object) -> NoReturn:
        try:
            import shtab
        except ModuleNotFoundError:
            parser.error("--print-completion needs the package shtab: pip install shtab")
        for action in parser._actions:
            if action.type is Path or action.dest in ("inputs", "input", "output"):
                action.complete = _FILES  # type: ignore[attr-defined]
        with reporting(parser.prog):
            print(shtab.complete(parser, str(values[1])))
        parser.exit()


def parser(name: str, description: str) -> Parser:
    """A command's parser."""
    parser = Parser(name, description=description)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--print-completion", choices=("bash", "zsh", "tcsh"), action=_Completion, help="print a script for the shell, by shtab"
    )
    return parser


def region(text: str) -> tuple[int, ...]:
    """The numbers of "x,y,width,height"; what argparse expects for another text."""
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(" *[0-9]{1,10} *", part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height")
    return tuple(int(part) for part in parts)


def add_files(parser: argparse.ArgumentParser, source: str, target: str) -> None:
    """What is read and what is written, of one file or of many, and what is told about it."""
    parser.usage = "%(prog)s [options] IN OUT\n       %(prog)s [options] IN … -o OUT|FOLDER"
    parser.add_argument("inputs", nargs="*", metavar="IN", help=f"{source}, or a folder of such; - is standard input")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help=f"{target}, or the folder for what is made of many; - is standard output"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="search folders with the folders in them")
    parser.add_argument("--update", action="store_true", help="leave files that are newer than what they are made of")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="do many files on the workers of a Dask cluster that see them: tcp://HOST:8786"
    )
    parser.add_argument("--no-overwrite", action="store_true", help="leave files that exist as they are")
    metadata = parser.add_mutually_exclusive_group()
    metadata.add_argument(
        "--keep", type=_parts, default=PARTS, metavar="PARTS", help=f"metadata to keep, of {','.join(PARTS)} (default: all)"
    )
    metadata.add_argument(
        "--strip", action="store_const", dest="keep", const=(), help="keep no metadata, but how the picture is to be turned"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a table of the files to a .csv file, errors included")
    add_telling(parser)


def add_telling(parser: argparse.ArgumentParser) -> None:
    """What is told about the work."""
    told = parser.add_mutually_exclusive_group()
    told.add_argument("-v", "--verbose", action="store_true", help="say what was done")
    told.add_argument("--quiet", action="store_true", help="show no progress and no warnings")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")


def add_running(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """Options that say where a command runs, with which weights and within which limits."""
    parser.add_argument(
        "--device", metavar="auto|cpu|cuda[:N]", default="auto", help="where to run (default: auto, CUDA if it works)"
    )
    parser.add_argument("-j", "--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    if weights:
        parser.add_argument(
            "--weights", type=Path, metavar="FILE", help="weights file (default: the one that comes with the codec)"
        )
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help="refuse larger pictures, which may be forged to use up memory "
        f"(default: {PIXELS_MAX} for those held whole; for others, as many in a band)",
    )


def parse_files(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command with files, options among them; where there is no -o, OUT is the last of the files."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    parsed = parser.parse_intermixed_args(given[:end])
    parsed.inputs += given[end + 1 :]
    parsed.named_output = parsed.output is not None
    if parsed.output is None and len(parsed.inputs) == 2:
        parsed.output = parsed.inputs.pop()
    elif parsed.output is None and len(parsed.inputs) < 2:
        missing = ", ".join(("IN", "OUT")[len(parsed.inputs) :])
        parser.error(f"the following arguments are required: {missing}")
    elif parsed.output is None:
        parser.error(f"{', '.join(parsed.inputs[2:])}: for several files, name a folder for what is made of them (-o FOLDER)")
    elif not parsed.inputs:
        parser.error("the following arguments are required: IN")
    if parsed.output == "-" and parsed.json:
        parser.error("--json and the file would both go to standard output; name a file")
    return parsed


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(PARTS)}")
    return names
