"""The command `cae-info`."""

from __future__ import annotations

import dataclasses
import json

from ..format.information import info
from . import arguments, common
from .standard_streams import as_source


def main(given: list[str] | None = None) -> None:
    """Entry point of `cae-info`."""
    parser = arguments.parser("cae-info", "Say what a .cae file holds, without decoding it.")
    parser.add_argument("input", metavar="FILE", help=".cae file; - is standard input")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parsed = parser.parse_args(given)
    with common.reporting(parser.prog):
        with as_source(parsed.input) as path:
            data = common.read_bytes(path)
            with common.naming(path):
                facts = dataclasses.asdict(info(data))
        if parsed.json:
            print(json.dumps(facts, indent=2))
            return
        facts["bits_per_pixel"] = f"{facts['bits_per_pixel']:.4f}"
        facts["metadata"] = ", ".join(f"{name.strip()} {size} bytes" for name, size in facts["metadata"].items()) or "none"
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<15} {value}")
