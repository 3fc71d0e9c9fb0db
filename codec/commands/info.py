"""The command `cae-info`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from ..advice import damage_advice, weights_advice
from ..cli.arguments import create_parser
from ..cli.messages import advise, one_line, prefix_errors, print_message, report_errors
from ..cli.standard_streams import open_input
from ..errors import CaeError
from ..format.header import NAMED_PARTS_MAX
from ..format.info import DamagedPart, damaged_parts, describe
from ..format.sources import open_source

_INFO_ADVICE = damage_advice("cae-decode --keep-going")


def main(words: list[str] | None = None) -> None:
    """Runs `cae-info` with the words of a command line (None: the process's own)."""
    parser = create_parser("cae-info", "Describe .cae files without decoding them.")
    parser.add_argument("inputs", nargs="+", metavar="FILE", help=".cae files; - is standard input")
    parser.add_argument("--json", action="store_true", help="print JSON; for several files, a line for each")
    parser.add_argument(
        "--check", action="store_true", help="verify all checksums, name damaged tiles, and exit with 1 if there are any"
    )
    parser.add_argument(
        "--bits", action="store_true", help="count the bits of each part of the transform's code, which needs the weights"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights file for --bits (default: the installed ones)")
    arguments = parser.parse_args(words)
    if arguments.weights is not None and not arguments.bits:
        parser.error("--weights is for --bits, which is missing")
    with report_errors(parser.prog):
        if len(arguments.inputs) == 1:
            _describe_one(arguments.inputs[0], arguments)
        else:
            _describe_many(arguments, parser.prog)


def _describe_one(name: str, arguments: argparse.Namespace) -> None:
    facts, damaged = _read_facts(name, arguments)
    print(json.dumps(facts, indent=2) if arguments.json else _format_lines(facts))
    _check_undamaged(name, damaged)


def _describe_many(arguments: argparse.Namespace, program: str) -> None:
    failed = 0
    for name in arguments.inputs:
        facts: dict[str, Any] = {"file": name}
        try:
            read, damaged = _read_facts(name, arguments)
            facts |= read
            if not arguments.json:
                print(_format_lines(facts), end="\n\n", flush=True)
            _check_undamaged(name, damaged)
        except CaeError as error:
            failed += 1
            facts["error"] = str(error)
            print_message(one_line(f"{program}: {error}"))
        if arguments.json:
            print(json.dumps(facts), flush=True)
    if failed:
        raise CaeError(f"errors in {failed} of {len(arguments.inputs)} files")


def _read_facts(name: str, arguments: argparse.Namespace) -> tuple[dict[str, Any], list[DamagedPart]]:
    """Returns the facts of a file, and its damaged parts, if these are looked for."""
    from ..networks.registry import expected_score

    with open_input(name) as path:
        with open_source(path) as source, prefix_errors(path), advise(_INFO_ADVICE):
            facts = dataclasses.asdict(describe(source, wrong_end=arguments.check))
            facts["expected_score"] = expected_score(bytes.fromhex(facts["model_id"]), facts["quality"])
            damaged = list(damaged_parts(source)) if arguments.check else []
            if arguments.check:
                facts["damaged"] = [part.name for part in damaged]
        if arguments.bits:
            from .. import Codec

            codec = Codec(weights=arguments.weights, device="cpu")
            with advise(weights_advice("--weights")), codec.open(path) as picture:
                facts["transform_bits"] = picture.transform_bits()
    return facts, damaged


def _check_undamaged(name: str, damaged: list[DamagedPart]) -> None:
    if damaged:
        # the colours and the alpha of a tile are parts of their own
        tiles = len({part.tile for part in damaged} - {None})
        what = "the end of the file is" if not tiles else "1 tile is" if tiles == 1 else f"{tiles} tiles are"
        raise CaeError(f"{name}: {what} damaged; get the file again, or decode it with --keep-going")


def _format_lines(facts: dict[str, Any]) -> str:
    """Formats facts for people, one a line, without parts that a file does not have."""
    shown = dict(facts)
    shown["bits_per_pixel"] = f"{facts['bits_per_pixel']:.4f}"
    if shown.pop("lossless"):
        shown["quality"] = "lossless"
    if shown["expected_score"] is None:
        del shown["expected_score"]
    else:
        shown["expected_score"] = f"{facts['expected_score']:.0f} points of SSIMULACRA 2 on average"
    metadata = {name.strip(): size for name, size in facts["metadata"].items()}
    shown["metadata"] = _format_counts(metadata, "{0} {1} bytes")
    shown["kinds"] = _format_counts(facts["kinds"], "{1} {0}")
    shown["parts"] = _format_counts(facts["parts"], "{0} {1} bytes")
    if "transform_bits" in facts:
        shown["transform_bits"] = _format_counts(facts["transform_bits"], "{0} {1}")
    if "damaged" in facts:
        named, more = facts["damaged"][:NAMED_PARTS_MAX], len(facts["damaged"]) - NAMED_PARTS_MAX
        shown["damaged"] = ", ".join(named) + f" and {more} more" * (more > 0) or "none: all checksums match"
    return "\n".join(f"{name.replace('_', ' '):<15} {value}" for name, value in shown.items())


def _format_counts(counts: dict[str, int], template: str) -> str:
    return ", ".join(template.format(name, count) for name, count in counts.items() if count) or "none"
