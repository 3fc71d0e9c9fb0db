"""Time and memory of calls and of command lines, and tables of what was measured."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codec import CaeError

_CHILD = """
import sys
from codec.commands import {name}
{name}.main(sys.argv[1:])
from benchmarks.core.measuring import peak_memory
print(peak_memory())
"""


def time_call(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_memory() -> float:
    """Largest resident memory of this process so far, in MB.

    Linux's own count is used: that of getrusage begins with the memory of the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def measure_command(command: str, arguments: Sequence[object]) -> tuple[float, float]:
    """Seconds and peak memory in MB of `cae-COMMAND`, its start included; CaeError where it fails."""
    code = _CHILD.format(name=command)
    start = time.perf_counter()
    # its progress bar goes to the terminal
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise CaeError(f"cae-{command} {' '.join(map(str, arguments))} failed with status {done.returncode}")
    return seconds, float(done.stdout.splitlines()[-1])


def text_table(rows: Sequence[Any]) -> str:
    """Formats dataclasses of one kind, at least one, as text in columns."""
    names = [field.name for field in dataclasses.fields(rows[0])]
    return text_columns([names, *([getattr(row, name) for name in names] for row in rows)])


def text_columns(lines: Sequence[Sequence[object]]) -> str:
    """Formats lines of equally many values as text in columns."""
    texts = [[str(value) for value in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in texts)
