"""The command `cae-info`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CaeError, CutOffError, advised
from ..format.info import damaged_parts, describe
from ..format.sources import open_source
from . import arguments, common
from .standard_streams import as_source


def main(given: list[str] | None = None) -> None:
    """Entry point of `cae-info`."""
    parser = arguments.parser("cae-info", "Say what .cae files hold, without decoding them.")
    parser.add_argument("inputs", nargs="+", metavar="FILE", help=".cae files; - is standard input")
    parser.add_argument("--json", action="store_true", help="print JSON: of many files, a line for each")
    parser.add_argument(
        "--check", action="store_true", help="verify all checksums, name the tiles that are damaged, and exit with 1 for any"
    )
    parser.add_argument(
        "--bits", action="store_true", help="say what the parts of the transform's code take, which needs the weights"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights file for --bits (default: the installed ones)")
    parsed = parser.parse_args(given)
    with common.reporting(parser.prog):
        if len(parsed.inputs) == 1:
            facts = _facts(parsed.inputs[0], parsed)
            print(json.dumps(facts, indent=2) if parsed.json else _lines(facts))
            _refuse_damaged(parsed.inputs[0], facts)
            return
        failed = 0
        for name in parsed.inputs:
            told: dict[str, Any] = {"file": name}
            try:
                told |= _facts(name, parsed)
                if not parsed.json:
                    print(_lines(told), end="\n\n", flush=True)
                _refuse_damaged(name, told)
            except CaeError as error:
                failed += 1
                told["error"] = str(error)
                common.tell(common.one_line(f"{parser.prog}: {error}"))
            if parsed.json:
                print(json.dumps(told), flush=True)
        if failed:
            raise CaeError(f"this is so of {failed} of {len(parsed.inputs)} files")


def _facts(name: str, parsed: argparse.Namespace) -> dict[str, Any]:
    """What is told of a file, by its name."""
    with as_source(name) as path:
        with open_source(path) as source, common.naming(path), _advice():
            facts = dataclasses.asdict(describe(source, cut_off=parsed.check))
            if parsed.check:
                facts["damaged"] = list(damaged_parts(source))
        if parsed.bits:
            from .. import Codec

            with Codec(weights=parsed.weights, device="cpu").open(path) as picture:
                facts["transform_bits"] = picture.transform_bits()
    return facts


@contextlib.contextmanager
def _advice() -> Iterator[None]:
    try:
        yield
    except CaeError as error:
        advice = "; get the file again, or have damaged tiles filled (cae-decode --keep-going)"
        raise advised(error, {CutOffError: advice}) from None


def _refuse_damaged(name: str, facts: dict[str, Any]) -> None:
    if facts.get("damaged"):
        count = len(facts["damaged"])
        what = "1 part of a tile is" if count == 1 else f"{count} parts of tiles are"
        raise CaeError(f"{name}: {what} damaged; get the file again, or decode it with --keep-going")


def _lines(facts: dict[str, Any]) -> str:
    """Facts for people, one a line; of what is in parts, those that are there."""
    shown = dict(facts)
    shown["bits_per_pixel"] = f"{facts['bits_per_pixel']:.4f}"
    metadata = {name.strip(): size for name, size in facts["metadata"].items()}
    shown["metadata"] = _listed(metadata, "{0} {1} bytes")
    shown["kinds"] = _listed(facts["kinds"], "{1} {0}")
    shown["parts"] = _listed(facts["parts"], "{0} {1} bytes")
    if "transform_bits" in facts:
        shown["transform_bits"] = _listed(facts["transform_bits"], "{0} {1}")
    if "damaged" in facts:
        shown["damaged"] = ", ".join(facts["damaged"]) or "none: all checksums match"
    return "\n".join(f"{name.replace('_', ' '):<15} {value}" for name, value in shown.items())


def _listed(counts: dict[str, int], form: str) -> str:
    return ", ".join(form.format(name, count) for name, count in counts.items() if count) or "none"
