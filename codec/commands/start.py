"""Entry points of the commands, which import the commands' modules where Ctrl-C leaves no traceback."""

from __future__ import annotations

import signal
from importlib import import_module


def encode() -> None:
    """Runs `cae-encode`."""
    _run("codec.commands.encode")


def decode() -> None:
    """Runs `cae-decode`."""
    _run("codec.commands.decode")


def info() -> None:
    """Runs `cae-info`."""
    _run("codec.commands.info")


def inspect() -> None:
    """Runs `cae-inspect`."""
    _run("codec.commands.inspect")


def serve() -> None:
    """Runs `cae-serve`."""
    _run("codec.commands.serve")


def export() -> None:
    """Runs `cae-export`."""
    _run("codec.commands.export")


def train() -> None:
    """Runs `cae-train`."""
    _run("codec.training.command")


def _run(module: str) -> None:
    """Runs a command. Until that is ready for it, Ctrl-C ends the process at once."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    import_module(module).main()
