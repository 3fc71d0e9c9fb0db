"""The table of what became of each file."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from ..errors import CaeError
from ..runtime.atomic_write import atomic_write, check_target

COLUMNS = ("input", "output", "width", "height", "mode", "bytes", "seconds", "skipped", "error")


class Table:
    """Rows of a CSV file in UTF-8, which is written as a whole.

    Raises:
        CaeError: where the file cannot be written, before any work.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() != ".csv":
            raise CaeError(f"{path}: does not end in .csv; name a .csv file for the table")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaeError(f"{path.parent}: {error.strerror or error}") from None
        check_target(path)
        self._path, self._rows = path, []

    def add(self, facts: dict[str, Any]) -> None:
        """What is known of a file, of which the columns are kept."""
        self._rows.append({name: facts[name] for name in COLUMNS if name in facts})

    def write(self) -> None:
        """Writes the file."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(self._rows)
        with atomic_write(self._path) as file:
            # names of files need not be UTF-8
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))
