"""A PyTorch dataset of `.cae` files, for a DataLoader whose workers are forked or spawned.

>>> import codec, numpy as np, pathlib, tempfile, torch
>>> folder = tempfile.TemporaryDirectory()
>>> for name in ("a", "b"):
...     _ = pathlib.Path(folder.name, f"{name}.cae").write_bytes(codec.encode(np.zeros((60, 90, 3), np.uint8)))
>>> loader = torch.utils.data.DataLoader(CaeFolder(folder.name, crop=32), batch_size=2)
>>> [tuple(batch.shape) for batch in loader]
[(2, 3, 32, 32)]
>>> folder.cleanup()
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .api.codec import Codec
from .errors import CaeError
from .images.samples import converted
from .options import REDUCTIONS, OnError, Region, integer

CHANNELS = (None, 1, 3)


class CaeFolder(Dataset[Any]):
    """The pictures of all `.cae` files below a folder, sorted by path: tensors (C, H, W), float in [0, 1] or uint8.

    Args:
        folder: searched with all folders below.
        shorter_side: reduce each picture to 1/2, 1/4 or 1/8 of its size: the least whose shorter side still has so many pixels.
            None gives the full size, as do pictures with fewer pixels.
        crop: decode only squares of that, of so many pixels, at places that torch's generator draws; None decodes the whole.
        channels: 3 gives gray pictures as RGB, 1 takes gray ones alone, both without their alpha; None keeps all channels.
        dtype: a floating-point type, or torch.uint8 for 0 to 255, to which deeper pictures are rounded.
        transform: applied to each tensor.
        label: makes the label beside the tensor from the file's path: `lambda path: path.parent.name`, say. Spawned workers
            need functions that can be pickled.
        on_error: see `codec.decode`.
        arguments: of `codec.Codec`; by default one thread of the CPU, as each worker is a process.

    Raises:
        CaeError: for a folder without such files and for bad arguments; when an item is taken, for a file that is damaged, in
            colour with `channels` 1, or smaller than the crop.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        shorter_side: int | None = None,
        crop: int | None = None,
        channels: int | None = 3,
        dtype: torch.dtype = torch.float32,
        transform: Callable[[Tensor], Any] | None = None,
        label: Callable[[Path], Any] | None = None,
        on_error: OnError = "raise",
        **arguments: Any,
    ) -> None:
        self.paths = sorted(path for path in Path(folder).rglob("*.cae") if path.is_file())
        if not self.paths:
            raise CaeError(f"{folder}: {'holds no .cae file' if Path(folder).is_dir() else 'is no folder'}")
        for name, value in (("shorter_side", shorter_side), ("crop", crop)):
            if value is not None and integer(name, value) < 1:
                raise CaeError(f"{name} {value} is not at least 1")
        if channels not in CHANNELS:
            raise CaeError(f"channels {channels!r} is not 1, 3 or None")
        if not (dtype.is_floating_point or dtype == torch.uint8):
            raise CaeError(f"dtype {dtype} is no floating-point type, nor torch.uint8")
        self._shorter_side, self._crop, self._channels, self._dtype = shorter_side, crop, channels, dtype
        self._transform, self._label = transform, label
        self._on_error: OnError = on_error
        # so that forked workers have the weights already; spawned ones load them when they unpickle it
        self._codec = Codec(**{"device": "cpu", "threads": 1} | arguments)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        path = self.paths[index]
        with self._codec.open(path, on_error=self._on_error) as picture:
            factor = self._reduction(picture.size)
            pixels = picture.read(self._region(path, picture.size, factor), scale=1 / factor)
            largest = 2**picture.depth - 1
        if largest > 255:  # torch does little with uint16
            pixels = converted(pixels, picture.depth, 8) if self._dtype == torch.uint8 else pixels.astype(np.int32)
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(self._with_channels(path, pixels), -1, 0)))
        if self._dtype != torch.uint8:
            # in half precision 65535 is beyond the largest number
            tensor = (tensor.float() / largest).to(self._dtype) if largest > 255 else tensor.to(self._dtype).div_(255)
        item = tensor if self._transform is None else self._transform(tensor)
        return item if self._label is None else (item, self._label(path))

    def _reduction(self, size: tuple[int, int]) -> int:
        """Returns the factor by which a picture is reduced."""
        if self._shorter_side is None:
            return 1
        return max(factor for factor in REDUCTIONS if factor == 1 or -(-min(size) // factor) >= self._shorter_side)

    def _region(self, path: Path, size: tuple[int, int], factor: int) -> Region | None:
        """Draws a place for the crop, in pixels of the full size."""
        if self._crop is None:
            return None
        width, height = (-(-side // factor) for side in size)
        if min(width, height) < self._crop:
            raise CaeError(f"{path}: has {width} x {height} pixels, less than the crop of {self._crop}")
        left, top = (factor * int(torch.randint(side - self._crop + 1, ())) for side in (width, height))
        # squares at the right and bottom edges may be cut
        wide, high = (min(factor * self._crop, side - start) for start, side in zip((left, top), size, strict=True))
        return left, top, wide, high

    def _with_channels(self, path: Path, pixels: np.ndarray) -> np.ndarray:
        """Converts an array of `codec.decode` to (H, W, channels)."""
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        if self._channels is None:
            return pixels
        colour = pixels[..., :-1] if pixels.shape[-1] in (2, 4) else pixels
        if colour.shape[-1] > self._channels:
            raise CaeError(f"{path}: is a picture in colour; take channels=3")
        return np.broadcast_to(colour, (*colour.shape[:2], self._channels))
