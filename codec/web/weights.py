"""Weights as browsers get them: what decodes, in few bytes."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from safetensors import safe_open

from ..networks.weights import DECODING_GROUPS, Weights

_TYPES = {"float16": "F16", "float32": "F32", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8"}


def pack_weights(path: Path) -> bytes:
    """A model's tensors for decoding, as `static/weights.js` describes and reads them. Matrices are float16.

    CaeError where the file holds none of this codec's weights.
    """
    weights = Weights.read(path)
    header = {"id": weights.id.hex(), "config": vars(weights.config), "tensors": []}
    planes = []
    with safe_open(path, "numpy") as file:
        for name in sorted(file.keys()):
            if name.partition("/")[0] in DECODING_GROUPS:
                values = _lean(name, file.get_tensor(name))
                header["tensors"].append((name, _TYPES[str(values.dtype)], values.shape))
                planes.append(np.frombuffer(values.tobytes(), np.uint8).reshape(-1, values.itemsize).T.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    # numbers are noise but for their distribution, which this strategy knows best; a gzip stream without time or name
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FILTERED)
    return packer.compress(struct.pack("<I", len(text)) + text + b"".join(planes)) + packer.flush()


def _lean(name: str, values: np.ndarray) -> np.ndarray:
    """Layers' weights as (inputs, outputs), in float16 where they are in floating point."""
    if not name.endswith(".weight"):
        return values
    if values.dtype == np.float32:
        values = values.astype(np.float16)
    return np.ascontiguousarray(values.reshape(len(values), -1).T)
