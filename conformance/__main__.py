"""`python -m conformance -- COMMAND`: runs a decoder's command line on all files of the suite and reports on each."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .suite import FILES, ROOT, complaint, read_list


def main(words: list[str] | None = None) -> int:
    """Runs the suite; returns 1 where a file fails, else 0."""
    parser = argparse.ArgumentParser(
        "python -m conformance",
        description="Check a decoder of .cae files. It must end with status 0 and a PNG file of all bits of the samples, or "
        "for files that it should refuse with another status.",
        epilog="Example: python -m conformance -- bin/cae-decode --weights {weights} {input} {output}",
    )
    parser.add_argument("--files", type=Path, default=FILES, metavar="FOLDER", help="the suite's files (default: %(default)s)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="run files of such names alone, such as 'refused-*'")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="for each file (default: %(default)s)")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="with {input}, {output} and, if needed, {weights}")
    arguments = parser.parse_args(words)
    expected = {name: facts for name, facts in read_list(arguments.files).items() if fnmatch(name, arguments.only)}
    failed = [name for name, facts in expected.items() if not _passes(name, facts, arguments)]
    print(f"{len(expected) - len(failed)} of {len(expected)} files pass")
    return bool(failed)


def _passes(name: str, facts: dict[str, Any], arguments: argparse.Namespace) -> bool:
    """Runs the decoder on a file and prints a line about it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output.png")
        places = {
            "{input}": str(arguments.files / name),
            "{output}": str(output),
            "{weights}": str(ROOT / facts["weights"]),
        }
        wrong = _run([places.get(word, word) for word in arguments.command], facts, output, arguments)
    print(f"FAILED {name}: {wrong}" if wrong else f"passed {name}", flush=True)
    return wrong is None


def _run(command: list[str], facts: dict[str, Any], output: Path, arguments: argparse.Namespace) -> str | None:
    """Says what is wrong with a decoder's run on a file; None if nothing is."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {arguments.timeout:g} s"
    if done.returncode < 0:
        return f"was ended by signal {-done.returncode}"
    if "refused" in facts:
        return None if done.returncode else f"was not refused: {facts['refused']}"
    if done.returncode:
        return f"ended with status {done.returncode}: {done.stderr.strip()[-300:]}"
    return complaint(output, facts, arguments.files)


if __name__ == "__main__":
    sys.exit(main())
