"""Parsers, and the options that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .. import __version__
from ..format.limits import PIXELS_MAX
from ..metadata import SECTIONS_BY_OPTION
from .messages import one_line, report_errors
from .standard_streams import STREAM, input_name, output_name
from .values import parse_device, parse_integer, parse_pixels

_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""Names of each shell's function that completes file names."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


class _PrintCompletion(argparse.Action):
    """Prints a shell script that completes the command's options and file names."""

    def __call__(self, parser: argparse.ArgumentParser, *values: object, **_: object) -> NoReturn:
        try:
            import shtab
        except ModuleNotFoundError:
            parser.error("--print-completion needs the package shtab: pip install shtab")
        for action in parser._actions:
            if action.type is Path or action.dest in ("inputs", "input", "output"):
                action.complete = _FILES  # type: ignore[attr-defined]
        with report_errors(parser.prog):
            print(shtab.complete(parser, str(values[1])))
        parser.exit()


def create_parser(name: str, description: str) -> Parser:
    """Creates a command's parser, with the options that every command has."""
    parser = Parser(name, description=description)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh"),
        action=_PrintCompletion,
        default=argparse.SUPPRESS,
        help="print a completion script for this shell (needs shtab)",
    )
    return parser


def add_file_arguments(parser: argparse.ArgumentParser, source: str, target: str) -> None:
    """Adds the inputs, the output, the metadata to keep, and the options for reports.

    Args:
        source: describes an input file in help texts.
        target: describes the output file in help texts.
    """
    parser.usage = "%(prog)s [options] IN OUT\n       %(prog)s [options] IN … -o OUT|FOLDER"
    parser.add_argument("inputs", nargs="*", metavar="IN", help=f"{source}, or a folder of them; - is standard input")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help=f"{target}, or the output folder for several inputs; - is standard output"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    parser.add_argument(
        "--keep-suffix",
        action="store_true",
        help="in an output folder, add the new suffix to the input's: a.png.cae, so that a.png and a.jpg both have room",
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--update", action="store_true", help="skip outputs newer than their source")
    kept.add_argument("--no-overwrite", action="store_true", help="keep existing outputs")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="process many files on the workers of a Dask cluster, which must see the same files: tcp://HOST:8786",
    )
    metadata = parser.add_mutually_exclusive_group()
    metadata.add_argument(
        "--keep",
        type=_parse_metadata_names,
        default=tuple(SECTIONS_BY_OPTION),
        metavar="PARTS",
        help=f"metadata to keep, of {','.join(SECTIONS_BY_OPTION)} (default: all)",
    )
    metadata.add_argument("--strip", action="store_const", dest="keep", const=(), help="drop all metadata except orientation")
    reports = parser.add_mutually_exclusive_group()
    reports.add_argument("-v", "--verbose", action="store_true", help="report each file")
    reports.add_argument("--quiet", action="store_true", help="show no progress and no warnings")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")


def add_resource_arguments(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """Adds the options for device, threads, weights (if wanted) and the limit of pixels."""
    parser.add_argument(
        "--device",
        type=parse_device,
        metavar="auto|cpu|cuda[:N]",
        default="auto",
        help="where to run (default: auto, CUDA if it works)",
    )
    parser.add_argument("-j", "--threads", type=parse_integer(1), metavar="N", help="CPU threads (default: all processors)")
    if weights:
        parser.add_argument(
            "--weights", type=Path, metavar="FILE", help="weights file (default: the one that comes with the codec)"
        )
    parser.add_argument(
        "--max-pixels",
        type=parse_pixels,
        metavar="N",
        help="refuse larger pictures (10M), which may be forged to exhaust memory "
        f"(default: {PIXELS_MAX} for pictures held whole, and for a band of the others)",
    )


def parse_files(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses a command line in which options may stand among files; without -o, the last of two files is the output."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    parsed = parser.parse_intermixed_args(words[:end])
    parsed.inputs += words[end + 1 :]
    parsed.has_output_option = parsed.output is not None
    if parsed.output is None and len(parsed.inputs) == 2:
        parsed.output = parsed.inputs.pop()
    elif parsed.output is None and len(parsed.inputs) < 2:
        missing = ", ".join(("IN", "OUT")[len(parsed.inputs) :])
        parser.error(f"the following arguments are required: {missing}")
    elif parsed.output is None:
        parser.error(f"{', '.join(parsed.inputs[2:])}: several inputs need an output folder (-o FOLDER)")
    elif not parsed.inputs:
        parser.error("the following arguments are required: IN")
    parsed.inputs = [input_name(name) for name in parsed.inputs]
    parsed.output = output_name(parsed.output)
    if parsed.output == STREAM and parsed.json:
        parser.error("--json and the file would both go to standard output; name a file")
    return parsed


def _parse_metadata_names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in SECTIONS_BY_OPTION:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(SECTIONS_BY_OPTION)}")
    return names
