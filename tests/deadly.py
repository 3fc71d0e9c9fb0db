"""Work that kills the process that does it; in a module that processes import quickly."""

import argparse
import dataclasses
import os
import signal
import time
from pathlib import Path

from codec.commands.batch.task import Summary, Task, Tools
from codec.runtime.atomic_write import atomic_write


@dataclasses.dataclass(frozen=True)
class Killing:
    """Copies files, but for some that kill the process that reads them."""

    arguments: argparse.Namespace
    suffix = ".copy"

    def accepts(self, path: Path) -> bool:
        return True

    def count_pixels(self, path: Path) -> int:
        return 0

    def run(self, task: Task, tools: Tools) -> Summary:
        time.sleep(0.02)
        word = task.source.read_text()
        with atomic_write(task.target) as file:
            file.write(f"{word} {os.getpid()}".encode())
            file.flush()
            if word == "deadly" or (word == "unlucky" and not task.source.with_suffix(".met").exists()):
                task.source.with_suffix(".met").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"bytes": task.target.stat().st_size}
