"""`cae-decode photo.cae photo.html`: pages that decode their picture themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..cli.messages import prefix_errors
from ..errors import CaeError, UsageError
from ..metadata import SECTIONS_BY_OPTION
from .batch.task import Summary, Task

PAGE_SUFFIX = ".html"
PAGE_PIXELS_MAX = 2**26
"""Most pixels of a picture that the decoder in `web` takes, counting whole squares of 64."""


def is_page(path: Path) -> bool:
    """True if a file is a page, by its name."""
    return path.suffix.lower() == PAGE_SUFFIX


def check_options(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that change the picture, as a page holds the whole file as it is."""
    contradicting = {
        "--region": arguments.region,
        "--scale": arguments.scale != 1,
        "--keep-going": arguments.keep_going,
        "--decoder": arguments.decoder,
        "--keep or --strip": arguments.keep != tuple(SECTIONS_BY_OPTION),
    }
    for option, is_chosen in contradicting.items():
        if is_chosen:
            raise UsageError(f"{option} does not go with a page, which holds the whole file as it is; leave it out")


def write_page(task: Task, weights: Path | None) -> Summary:
    """Writes the page of a sound file; `weights` are tried before those that are installed."""
    from ..format import container
    from ..format.geometry import HYPER_STRIDE
    from ..format.header import NO_MODEL
    from ..format.sources import open_source
    from ..runtime.atomic_write import atomic_write
    from ..web.page import make_page

    with open_source(task.source) as source, prefix_errors(task.source):
        container.check(source)
        header, data = container.read(source).header, bytes(source.read(0, source.size))
        pixels = (-header.width // HYPER_STRIDE) * (-header.height // HYPER_STRIDE) * HYPER_STRIDE**2
        if pixels > PAGE_PIXELS_MAX:
            raise CaeError(f"has more pixels than a page shows, {PAGE_PIXELS_MAX}; decode it to an image")
        path = None if header.model_id == NO_MODEL else _find_weights(header.model_id, weights)
    with atomic_write(task.target) as file:
        file.write(make_page(path, task.source.name, data).encode())
    size = {"width": header.width, "height": header.height, "mode": header.mode, "depth": header.depth}
    return size | {"bytes": task.target.stat().st_size}


def _find_weights(model_id: bytes, preferred: Path | None) -> Path:
    from ..networks import registry
    from ..networks.weights import Weights

    if preferred is None:
        return registry.find(model_id)
    preferred_id = Weights.read(preferred).id
    return preferred if preferred_id == model_id else registry.find(model_id, (preferred, preferred_id))
