"""The command `cae-info`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ..format.information import info
from . import common


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `cae-info`."""
    parser = common.parser("cae-info", "Say what a .cae file holds, without decoding it.")
    parser.add_argument("input", type=Path, metavar="FILE", help=".cae file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    with common.reporting(parser.prog):
        data = common.read_bytes(given.input)
        with common.naming(given.input):
            facts = dataclasses.asdict(info(data))
        if given.json:
            print(json.dumps(facts, indent=2))
            return
        facts["bits_per_pixel"] = f"{facts['bits_per_pixel']:.4f}"
        facts["metadata"] = ", ".join(f"{name.strip()} {size} bytes" for name, size in facts["metadata"].items()) or "none"
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<15} {value}")
