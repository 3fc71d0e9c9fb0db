"""Weights files: metadata, configuration, tensors, tables and the id of what decodes, as safetensors holds them.

Knows no torch.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import struct
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors import SafetensorError, deserialize

from ..entropy.coder import FrequencyTable, tables_from_arrays
from ..errors import CaeError
from ..tensor_files import parse_header, read_regular
from .config import Config, checked

Values = TypeVar("Values")
Groups = Mapping[str, Mapping[str, np.ndarray]]
"""Tensors by group (what stands before the slash in their names) and by the rest of the name."""
ID_BYTES = 8
DENOISING = "denoising"
"""Entry of an encoder's metadata that says with \"true\" that the encoder leaves noise out."""
SIZE_MAX = 2**31
"""Bytes of a weights file; no network that decodes at a useful speed needs as many."""
MODEL, ENCODER, DECODER, SIZES = "model", "encoder", "decoder", "sizes"
"""Roles of a weights file: a model, or for the latents of one another encoder, another decoder, or decoders to other sizes."""
DECODING_GROUPS = ("levels", "means", "priors", "scales", "synthesis", "tables")
"""Groups of tensors (what stands before the slash in their names) that the model's id covers."""
NOT_DECODING = (
    "analysis_blocks",
    "analysis_wide_blocks",
    "analysis_wide_expansion",
    "lambda_max",
    "lambda_min",
    "objective",
    "reduced_blocks",
    "score_max",
)
"""Fields of a configuration that a decoder does not need."""


class Files(NamedTuple):
    """The files of a model: its weights file, and those of another encoder or decoder for its latents."""

    model: Path
    encoder: Path | None = None
    decoder: Path | None = None


@dataclasses.dataclass(frozen=True)
class Weights:
    """The bytes of a weights file; what is wrong with them raises CaeError when it is asked for."""

    path: Path
    data: bytes

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Reads a file once, so that one which is replaced later does not matter."""
        return cls(path, read_regular(path, SIZE_MAX, "weights"))

    @functools.cached_property
    def _header(self) -> dict[str, Any]:
        try:
            return parse_header(self.data)
        except (ValueError, RecursionError):
            raise CaeError(f"{self.path}: not a readable weights file") from None

    @property
    def metadata(self) -> dict[str, str]:
        """Configuration, role, id, training record, licence."""
        metadata = self._header.get("__metadata__", {})
        if not isinstance(metadata, dict):
            raise CaeError(f"{self.path}: not a readable weights file")
        return metadata

    @property
    def config(self) -> Config:
        """Sizes of the networks."""
        try:
            return checked(Config(**json.loads(self.metadata["config"])))
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise CaeError(f"{self.path}: not a weights file of this codec ({error!r})") from None

    @property
    def id(self) -> bytes:
        """The model's id, computed from all that decodes; what the metadata say of it does not matter here."""
        try:
            return model_id(json.loads(self.metadata["config"]), self._decoding_tensors())
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise CaeError(f"{self.path}: not a readable weights file ({error!r})") from None

    def _decoding_tensors(self) -> Iterator[tuple[str, str, list[int], memoryview]]:
        start = 8 + int.from_bytes(self.data[:8], "little")
        for name in sorted(self._header):
            if name.partition("/")[0] in DECODING_GROUPS:
                entry = self._header[name]
                first, end = entry["data_offsets"]
                yield name, entry["dtype"], entry["shape"], memoryview(self.data)[start + first : start + end]

    def arrays(self, only: Container[str] | None = None) -> dict[str, dict[str, np.ndarray]]:
        """Tensors by group and name, of these groups alone (None: of all); those in bfloat16 become float32.

        CaeError where the file is not whole, or a value not finite.
        """
        groups: dict[str, dict[str, np.ndarray]] = {}
        try:
            for name, tensor in deserialize(self.data):
                group, _, rest = name.partition("/")
                if only is None or group in only:
                    groups.setdefault(group, {})[rest] = _array(tensor)
        except (SafetensorError, LookupError, TypeError, ValueError) as error:
            raise CaeError(f"{self.path}: not a whole weights file of this codec ({error})") from None
        for group, arrays in groups.items():
            for name, array in arrays.items():
                if not np.isfinite(array).all():
                    raise CaeError(f"{self.path}: {group}/{name} has values that are not finite; use another weights file")
        return groups


_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
    "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
"""NumPy's types by safetensors' names."""


def _array(tensor: Mapping[str, Any]) -> np.ndarray:
    """A tensor as safetensors deserialises it: its type, shape and bytes."""
    array = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    if tensor["dtype"] == "BF16":
        # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def within(group: Mapping[str, Values], part: str) -> dict[str, Values]:
    """The tensors of a group whose names begin with that of a part and a slash, by what follows; empty where there are none."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): value for name, value in group.items() if name.startswith(prefix)}


def model_id(config: Mapping[str, Any], tensors: Iterator[tuple[str, str, list[int], memoryview]]) -> bytes:
    """First 8 bytes of the SHA-256 of the canonical form of what decodes, which FORMAT.md specifies.

    `config` is the configuration as the file has it, `tensors` are name, type, shape and bytes of each, in the order of
    their names.
    """
    digest = hashlib.sha256()

    def add(part: bytes | memoryview) -> None:
        digest.update(struct.pack("<Q", len(part)))
        digest.update(part)

    decoding = {name: value for name, value in config.items() if name not in NOT_DECODING}
    add(json.dumps(decoding, sort_keys=True, separators=(",", ":")).encode())
    for name, dtype, shape, data in tensors:
        for text in (name, dtype, ",".join(map(str, shape))):
            add(text.encode())
        add(data)
    return digest.digest()[:ID_BYTES]


def read_tables(tensors: Mapping[str, np.ndarray]) -> list[FrequencyTable]:
    """The coder's tables, one for each scale index, from a weights file's group of tables; ValueError if they are damaged."""
    frequencies, lengths = (tensors[f"scale.{part}"] for part in ("frequencies", "lengths"))
    if lengths.sum() != len(frequencies) or lengths.min() < 4 or frequencies.min() < 1:
        raise ValueError("bad tables of scales")
    return tables_from_arrays(frequencies, lengths)
