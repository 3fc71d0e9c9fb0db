"""The integer networks: equal to 64-bit integer arithmetic, whatever the kind of products, threads, batch or layout."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from codec.networks import products, registry
from codec.networks.entropy_networks import MEAN_LIMIT, pack, unpack
from codec.networks.model import Files, Model, load
from codec.networks.products import LIMIT

from .conftest import TINY

QUALITY = 60


@pytest.fixture(scope="module", params=["float64", "bytes"])
def model(request) -> Model:
    if request.param == "bytes" and not products.bytes_are_fast():
        pytest.skip("this CPU has no products of bytes")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "float64":
            patch.setattr(products, "bytes_work", lambda: False)
        loaded = load(Files(TINY))
    assert type(loaded.entropy.enter.product).__name__ == {"float64": "InFloat64", "bytes": "InBytes"}[request.param]
    return loaded


def inputs(batch: int, height: int, width: int, channels: int) -> torch.Tensor:
    rng = np.random.default_rng(7)
    shape = batch, -(-height // 4), -(-width // 4), channels
    return torch.from_numpy(rng.integers(-9, 10, shape, np.int32))


def run(model: Model, z: torch.Tensor, height: int, width: int) -> list[torch.Tensor]:
    """Means and scale indices of both passes, with symbols made up from the first."""
    features, mean, index = model.entropy.first(z, QUALITY, height, width)
    symbols = (torch.arange(mean[0].numel()) % 7 - 3).reshape(mean.shape[1:]).expand_as(mean).to(torch.int32)
    return [mean, index, *model.entropy.second(features, mean, symbols, QUALITY)]


def digest(results: list[torch.Tensor]) -> str:
    joined = b"".join(np.ascontiguousarray(part.to(torch.int64).numpy()).astype("<i8").tobytes() for part in results)
    return hashlib.sha256(joined).hexdigest()


class Integers:
    """FORMAT.md written a second time, in the int64 of NumPy, with nothing shared with `EntropyNetworks`."""

    def __init__(self, path) -> None:
        self.t = {
            name.removeprefix("entropy/"): value.astype(np.int64)
            for name, value in load_file(path).items()
            if name.startswith("entropy/")
        }

    def layer(self, x, name, low=-LIMIT, high=LIMIT):
        return self.shifted(x @ self.t[f"{name}.weight"].T + self.t[f"{name}.bias"], name, low, high)

    def shifted(self, total, name, low=-LIMIT, high=LIMIT):
        assert abs(total).max() < 2**31
        return np.clip(total // 2 ** self.t[f"{name}.shift"], low, high)

    def depthwise(self, x, name):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        total = np.zeros_like(x) + self.t[f"{name}.bias"]
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                total[i, j] += (padded[i : i + 3, j : j + 3].reshape(9, -1) * self.t[f"{name}.weight"].T).sum(0)
        return self.shifted(total, name)

    def block(self, x, name):
        hidden = self.depthwise(self.layer(x, f"{name}.mix_in", low=0), f"{name}.depthwise")
        x = np.clip(x + self.layer(hidden, f"{name}.mix_out"), -LIMIT, LIMIT)
        return np.clip(x + self.layer(self.layer(x, f"{name}.up", low=0), f"{name}.down"), -LIMIT, LIMIT)

    @staticmethod
    def double(x):
        h, w, c = x.shape
        return x.reshape(h, w, 2, 2, c // 4).transpose(0, 2, 1, 3, 4).reshape(2 * h, 2 * w, c // 4)

    def features(self, z, height, width):
        z = np.clip(z, -511, 511) * 64
        x = self.block(self.double(self.layer(z, "hyper_synthesis.enter")), "hyper_synthesis.block_half")
        x = self.double(self.layer(x, "hyper_synthesis.upsample"))[:height, :width]
        x = np.clip(x + self.t["quality_bias"][QUALITY - 1], -LIMIT, LIMIT)
        return self.block(self.block(x, "hyper_synthesis.block"), "first_block")

    def heads(self, x, name):
        mean, scale = np.split(self.layer(x, name, -MEAN_LIMIT, MEAN_LIMIT), 2, -1)
        return mean, np.clip((scale + self.t["log_gain"][QUALITY - 1] + 8) >> 4, 0, 63)

    def second(self, features, known, symbols):
        x = features + self.layer(self.t["compress"][np.clip(known, -(2**15), LIMIT) + 2**15], "embed")
        mean, index = self.heads(self.block(np.clip(x, -LIMIT, LIMIT), "second_blocks.0"), "second_head")
        weight = self.t["neighbour.weight"]
        leading = len(weight)
        padded = np.pad(symbols[..., :leading], ((1, 1), (1, 1), (0, 0)))
        h, w = symbols.shape[:2]
        total = self.t["neighbour.bias"] + sum(
            padded[1 + i : 1 + i + h, 1 + j : 1 + j + w] * weight[:, tap]
            for tap, (i, j) in enumerate(((-1, 0), (0, -1), (0, 1), (1, 0)))
        )
        mean[..., :leading] += self.shifted(total, "neighbour", -(2**40), 2**40)
        return mean, index


@pytest.mark.parametrize(("height", "width"), [(9, 6), (1, 1), (4, 3)])
def test_equals_integer_arithmetic(model, height, width):
    z = inputs(1, height, width, model.config.hyper_channels)
    reference = Integers(TINY)
    features, mean, index = model.entropy.first(z, QUALITY, height, width)
    rng = np.random.default_rng(3)
    symbols = torch.from_numpy(rng.integers(-40, 41, mean.shape, np.int32))
    mean_second, index_second = model.entropy.second(features, mean, symbols, QUALITY)

    expected = reference.features(z[0].numpy(), height, width)
    assert np.array_equal(features[0].numpy(), expected)
    dense = unpack(symbols, torch.zeros_like(symbols))[0].long().numpy()
    first = unpack(torch.ones_like(mean), torch.zeros_like(mean))[0].bool().numpy()
    expected_mean, expected_index = reference.heads(expected, "first_head")
    second_mean, second_index = reference.second(expected, np.where(first, expected_mean + 64 * dense, 0), dense)
    assert np.array_equal(unpack(mean, mean_second)[0].numpy(), np.where(first, expected_mean, second_mean))
    assert np.array_equal(unpack(index, index_second)[0].numpy(), np.where(first, expected_index, second_index))


def test_frozen_digest(model):
    """Means and indices must never differ, on any machine with any version of torch."""
    assert (
        digest(run(model, inputs(2, 13, 10, model.config.hyper_channels), 13, 10))
        == "2b5e3f7ce67b385a9f8d9b096c3bad7f74dd26afca98cdef15248ce752c2ef35"
    )


def test_threads_batches_and_layouts_do_not_matter(model):
    z = inputs(3, 16, 12, model.config.hyper_channels)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run(model, z, 16, 12)
        torch.set_num_threads(2)
        two = run(model, z, 16, 12)
    finally:
        torch.set_num_threads(before)
    channels_first = z.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert not channels_first.is_contiguous()
    other_layout = run(model, channels_first, 16, 12)
    single = [torch.cat(parts) for parts in zip(*(run(model, z[i : i + 1], 16, 12) for i in range(3)), strict=True)]
    for results in (two, other_layout, single):
        assert all(torch.equal(a, b) for a, b in zip(one, results, strict=True))


def test_pack_and_unpack():
    y = torch.arange(2 * 5 * 4 * 6).reshape(2, 5, 4, 6)
    assert torch.equal(unpack(pack(y, 0), pack(y, 1)), y)
    assert pack(y, 0)[0, 0, 1].tolist() == y[0, 0, 1, 1::2].tolist()


@pytest.mark.parametrize("path", sorted(registry.installed()), ids=lambda path: path.stem)
def test_shipped_sums_fit_32_bits(path):
    """No sum of products and bias can reach 2**31, whatever the activations."""
    tensors = {name: value for name, value in load_file(path).items() if name.startswith("entropy/")}
    weights = [name for name in tensors if name.endswith(".weight")]
    assert len(weights) > 20
    for name in weights:
        bias = np.abs(tensors[name.replace(".weight", ".bias")].astype(np.int64))
        assert (np.abs(tensors[name].astype(np.int64)).sum(1) * (LIMIT + 1) + bias).max() < 2**31
