"""Running the commands, as processes or in this one."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).parents[1] / "bin"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a command of this checkout in a process of its own."""
    return subprocess.run([sys.executable, BIN / name, *map(str, arguments)], capture_output=True, text=True)


def refused(capsys, main, *arguments: object) -> str:
    """The one line on stderr with which a command fails."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    code = stop.value.code
    line = code if isinstance(code, str) else capsys.readouterr().err.removesuffix("\n")
    assert isinstance(code, str) or code == 2
    assert len(line.splitlines()) == 1 and line.isprintable()
    return line
