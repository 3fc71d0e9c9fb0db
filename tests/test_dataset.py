"""The dataset of `.cae` files, alone and under a DataLoader's workers."""

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import codec
from codec import CaeError
from codec.dataset import CaeFolder

from .conftest import TINY

ARGUMENTS = {"weights": TINY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, chelsea, tiny):
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "deeper").mkdir()
    pictures = {"a": chelsea[:70, :90], "b": chelsea[100:164, :64], "deeper/c": chelsea[:80, 200:300]}
    for name, pixels in pictures.items():
        (folder / f"{name}.cae").write_bytes(tiny.encode(pixels))
    (folder / "notes.txt").write_text("none")
    return folder


def whole(path) -> torch.Tensor:
    return torch.from_numpy(codec.decode(path.read_bytes(), device="cpu", threads=1, **ARGUMENTS)).permute(2, 0, 1)


def parent_of(path) -> str:
    return path.parent.name


def halved(tensor):
    return tensor / 2


def test_items(folder):
    dataset = CaeFolder(folder, **ARGUMENTS)
    assert [path.relative_to(folder).as_posix() for path in dataset.paths] == ["a.cae", "b.cae", "deeper/c.cae"]
    assert len(dataset) == len(list(dataset)) == 3
    for path, tensor in zip(dataset.paths, dataset, strict=True):
        assert tensor.dtype == torch.float32 and tensor.is_contiguous()
        assert torch.equal(tensor, whole(path) / 255)
    levels = CaeFolder(folder, dtype=torch.uint8, transform=halved, label=parent_of, **ARGUMENTS)
    tensor, label = levels[2]
    assert torch.equal(tensor, whole(dataset.paths[2]) / 2) and label == "deeper"


def test_crops(folder):
    """A crop is what stands there in the whole picture; the places follow torch's generator."""
    dataset = CaeFolder(folder, crop=64, dtype=torch.uint8, **ARGUMENTS)
    assert torch.equal(dataset[1], whole(dataset.paths[1]))
    picture = whole(dataset.paths[0])
    torch.manual_seed(0)
    crops = [dataset[0] for _ in range(3)]
    windows = picture.unfold(1, 64, 1).unfold(2, 64, 1).permute(1, 2, 0, 3, 4)
    for crop in crops:
        assert (windows == crop).flatten(2).all(-1).sum() == 1
    assert not torch.equal(crops[0], crops[1])
    torch.manual_seed(0)
    assert torch.equal(dataset[0], crops[0])


@pytest.mark.parametrize(("shorter_side", "factor"), [(71, 1), (36, 1), (35, 2), (18, 4), (17, 4), (9, 8), (1, 8)])
def test_reduced_sizes(folder, shorter_side, factor):
    """70 x 90 pixels; crops are what stands there in the reduced picture, at the cut edges too."""
    reduced = CaeFolder(folder, shorter_side=shorter_side, dtype=torch.uint8, **ARGUMENTS)
    data = reduced.paths[0].read_bytes()
    expected = codec.decode(data, scale=1 / factor, device="cpu", threads=1, **ARGUMENTS)
    assert torch.equal(reduced[0], torch.from_numpy(expected).permute(2, 0, 1))
    side = -(-70 // factor)
    crop = CaeFolder(folder, shorter_side=shorter_side, crop=side, dtype=torch.uint8, **ARGUMENTS)[0]
    assert any(torch.equal(crop, reduced[0][:, :, x : x + side]) for x in range(reduced[0].shape[2] - side + 1))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_forked_workers(folder):
    dataset = CaeFolder(folder, dtype=torch.uint8, label=parent_of, **ARGUMENTS)
    expected = list(dataset)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=100)
    for (tensor, label), (other, name) in zip(loader, expected, strict=True):
        assert torch.equal(tensor, other) and label == name


def test_travels_to_spawned_workers(folder):
    """By being pickled, as its codec may be."""
    dataset = CaeFolder(folder, label=parent_of, **ARGUMENTS)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[0][0], dataset[0][0]) and again[2][1] == "deeper"


def test_channels(tmp_path, chelsea, tiny):
    gray, alpha = chelsea[:40, :50, 0], np.full((40, 50, 1), 200, np.uint8)
    (tmp_path / "a.cae").write_bytes(tiny.encode(gray))
    (tmp_path / "b.cae").write_bytes(tiny.encode(np.concatenate([gray[..., None], alpha], -1)))
    (tmp_path / "c.cae").write_bytes(tiny.encode(np.concatenate([chelsea[:40, :50], alpha], -1)))
    shapes = {channels: CaeFolder(tmp_path, channels=channels, **ARGUMENTS) for channels in (None, 1, 3)}
    assert [tensor.shape[0] for tensor in shapes[None]] == [1, 2, 4]
    assert [tensor.shape[0] for tensor in shapes[3]] == [3, 3, 3]
    assert torch.equal(shapes[3][1], shapes[1][1].expand(3, -1, -1))
    with pytest.raises(CaeError, match=r"c\.cae: is a picture in colour"):
        shapes[1][2]


def test_refused(tmp_path, folder):
    for arguments in (
        {"crop": 0},
        {"shorter_side": 0},
        {"crop": 1.5},
        {"channels": 2},
        {"dtype": torch.int32},
        {"device": "abacus"},
    ):
        with pytest.raises(CaeError, match=next(iter(arguments))):
            CaeFolder(folder, **ARGUMENTS, **arguments)
    for missing, message in ((tmp_path, "holds no .cae file"), (tmp_path / "none", "is no folder")):
        with pytest.raises(CaeError, match=message):
            CaeFolder(missing)
    with pytest.raises(CaeError, match=r"b\.cae: has 64 x 64 pixels, less than the crop of 65"):
        CaeFolder(folder, crop=65, **ARGUMENTS)[1]


def test_damage(tmp_path, folder):
    data = bytearray((folder / "a.cae").read_bytes())
    data[-5] ^= 1
    (tmp_path / "a.cae").write_bytes(data)
    with pytest.raises(CaeError, match=r"a\.cae.*damaged"):
        CaeFolder(tmp_path, **ARGUMENTS)[0]
    with pytest.warns(RuntimeWarning, match="filled in"):
        CaeFolder(tmp_path, on_error="fill", **ARGUMENTS)[0]
