"""Pictures of 96x96 for training, validation and test: STL-10's, or crops of photographs."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np

from benchmarks.core.images import Sample, from_scikit_image, sample
from codec import CaeError
from codec.training.data.images import find_images, load_images

from .network import SIDE

MEMORY = 4 * 2**30
_BYTES = 3 * SIDE * SIDE


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Pictures (N, 96, 96, 3) uint8 for each use, and whole photographs that none of them comes from."""

    source: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    held_out: list[Sample]


def read_stl10(path: Path) -> np.ndarray:
    """The pictures (N, 96, 96, 3) of one of STL-10's binary files (Coates et al., 2011), mapped from the disk.

    Each is 3 planes of 96 columns of 96 bytes. CaeError where the file is none.
    """
    try:
        if not (size := path.stat().st_size) or size % _BYTES:
            raise CaeError(f"{path}: is no file of STL-10, whose pictures have {_BYTES} bytes each")
        return np.memmap(path, np.uint8, "r").reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1)
    except OSError as error:
        raise CaeError(f"{path}: {error.strerror or error}; name the folder that holds train_X.bin and test_X.bin") from None


def from_stl10(folder: Path, limit: int, seed: int) -> Photographs:
    """STL-10's training pictures, a tenth of them for validation, and its test pictures: at most `limit` for training,
    and a fifth as many for each of the others."""
    within = folder / "stl10_binary"
    folder = within if within.is_dir() else folder
    labelled, test = read_stl10(folder / "train_X.bin"), read_stl10(folder / "test_X.bin")
    order = np.random.default_rng(seed).permutation(len(labelled))
    held_out_count = max(1, len(labelled) // 10)
    if len(labelled) <= held_out_count:
        raise CaeError(f"{folder}: too few pictures")
    chosen = order[held_out_count : held_out_count + limit], order[: min(held_out_count, _share(limit))]
    return Photographs("STL-10", *(labelled[np.sort(part)] for part in chosen), test[: _share(limit)], from_scikit_image())


def from_folder(folder: Path | None, limit: int, pictures: int, seed: int) -> Photographs:
    """Crops at random positions of a folder's photographs, or scikit-image's: `limit` for training, a fifth as many for
    each of the others, each from other photographs (8 : 1 : 1, at least one). `pictures` of the test ones are held out
    whole."""
    if folder is None:
        # in their order, so that the micrograph among them is for training
        files = [item.path for item in from_scikit_image()]
    else:
        files = find_images(folder)
        files = random.Random(seed).sample(files, len(files))
    if len(files) < 3:
        raise CaeError(f"{folder}: training, validation and test need 3 photographs or more")
    tenth = max(1, len(files) // 10)
    parts = files[2 * tenth :], files[tenth : 2 * tenth], files[:tenth]
    rng = np.random.default_rng(seed)
    crops = [_crops(part, count, rng) for part, count in zip(parts, (limit, _share(limit), _share(limit)), strict=True)]
    return Photographs(
        "scikit-image" if folder is None else folder.resolve().name, *crops, list(map(sample, parts[2][:pictures]))
    )


def _share(limit: int) -> int:
    return max(1, limit // 5)


def _crops(files: list[Path], count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` crops of pictures, of each about as many as of another, (count, 96, 96, 3)."""
    images = load_images(files, SIDE, MEMORY, quiet=True)
    crops = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for number, crop in enumerate(crops):
        image = images[number % len(images)]
        top, left = (int(rng.integers(length - SIDE + 1)) for length in image.shape[:2])
        crop[:] = image[top : top + SIDE, left : left + SIDE]
    return crops
