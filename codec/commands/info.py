"""The command `cae-info`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..errors import CaeError
from ..format.information import damaged_parts, describe
from ..format.source import open_source
from . import arguments, common
from .standard_streams import as_source


def main(given: list[str] | None = None) -> None:
    """Entry point of `cae-info`."""
    parser = arguments.parser("cae-info", "Say what a .cae file holds, without decoding it.")
    parser.add_argument("input", metavar="FILE", help=".cae file; - is standard input")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--check", action="store_true", help="verify all checksums, name the tiles that are damaged, and exit with 1 for any"
    )
    parser.add_argument(
        "--bits", action="store_true", help="say what the parts of the transform's code take, which needs the weights"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights file for --bits (default: the installed ones)")
    parsed = parser.parse_args(given)
    with common.reporting(parser.prog):
        with as_source(parsed.input) as path:
            with open_source(path) as source, common.naming(path):
                facts = dataclasses.asdict(describe(source))
                if parsed.check:
                    facts["damaged"] = list(damaged_parts(source))
            if parsed.bits:
                from .. import Codec

                with Codec(weights=parsed.weights, device="cpu").open(path) as picture:
                    facts["transform_bits"] = picture.transform_bits()
        print(json.dumps(facts, indent=2) if parsed.json else _lines(facts))
        if facts.get("damaged"):
            count = len(facts["damaged"])
            what = "1 part of a tile is" if count == 1 else f"{count} parts of tiles are"
            raise CaeError(f"{parsed.input}: {what} damaged; get the file again, or decode it with --keep-going")


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
