"""Short runs of training, and their logs."""

import csv
from pathlib import Path

from codec.training.options import Options


def options(folder: Path, run: Path, steps: int, **more) -> Options:
    return Options(folder, run, steps=steps, batch=2, patch=64, log_every=1, quiet=True, **more)


def csv_rows(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))
