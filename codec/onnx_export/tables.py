"""The integers of a model as plain arrays: scale model, priors and tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from ..networks.config import Config
from ..options import QUALITIES

GROUPS = "priors", "scales", "tables"
"""Groups of tensors that hold integers alone."""
BINARY = "tables.bin"
_DESCRIPTION = (
    "Arrays of integers as FORMAT.md names them, little-endian, in order of row and column, each at an offset of the binary "
    "file. levels: the position of the qualities 1 to 100 among the rate points, an input of the networks."
)


def make_tables(tensors: Mapping[str, np.ndarray], config: Config, model_id: str) -> tuple[str, bytes]:
    """The JSON that describes them, and the binary file with their numbers."""
    arrays, parts, offset = {}, [], 0
    for name, values in sorted(tensors.items()):
        if name.partition("/")[0] in GROUPS:
            padding = -offset % values.itemsize
            parts += [bytes(padding), values.astype(values.dtype.newbyteorder("<")).tobytes()]
            offset += padding
            arrays[name] = {"type": str(values.dtype), "shape": values.shape, "offset": offset}
            offset += values.nbytes
    facts = {
        "description": _DESCRIPTION,
        "id": model_id,
        "config": dataclasses.asdict(config),
        "levels": [config.level(quality) for quality in QUALITIES],
        "file": BINARY,
        "arrays": arrays,
    }
    return json.dumps(facts, indent=1) + "\n", b"".join(parts)
