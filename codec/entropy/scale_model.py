"""The integer scale model: which probability table codes each symbol, the same on every machine. Knows no torch.

The scales of a tile come from its rounded hyper-latent, by one linear map of the nearest 2 x 2 positions. Its symbols are
coded in four stages. What the earlier ones show of the magnitudes around a symbol corrects its scale, by a second linear map.
All operands are integers of at most 8 bits and all sums stay below 2**24. So products in float32 are exact in any order of
summation, and so are products in bfloat16 that are summed in float32.

That scales alone are integers follows JPEG AI (ISO/IEC 6048-1) and PULSE (arXiv:2609.18602), which has the bank of priors as
well. That coded magnitudes select the tables follows the context modelling of JPEG 2000 and HEVC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..options import QUALITIES

SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
"""Range and number of the log-spaced standard deviations that have a probability table."""
SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
"""Growth of the logarithm of the standard deviation from one scale index to the next."""
SCALE_BITS = 4
"""Fractional bits of a scale before it is rounded to an index."""
OPERAND_MAX = 127
"""Largest magnitude of the products' operands."""
SUM_LIMIT = 2**24
"""Bound of sums up to which float32 holds every integer."""
HYPER_UPSCALE = 4
"""Latent positions along a side of a hyper-latent position."""
MAGNITUDES = 32
"""Number of magnitudes of symbols that the context tells apart: larger ones count as the last."""
MAGNITUDE_UNIT = 24
"""Integer value of one doubling of 1 + magnitude in the context."""
STAGES = 4
"""Number of stages in which the symbols of a tile are coded."""
QUADRANTS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Directions (row, column) in which the quadrants of a hyper-latent position see its neighbours."""
EDGES = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""Offsets (row, column) of the neighbours beside a position."""
DIAGONALS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Offsets (row, column) of the neighbours at its corners."""

Arrays = Mapping[str, np.ndarray]
Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Product of two matrices of float32."""
Place = tuple[slice, slice, slice]
"""Rows, columns and channels, each with a stride."""


def stage_of(row: int, column: int, channel: int) -> int:
    """The stage in which a latent is coded: 0 and 1 for anchors, 2 and 3 for the others."""
    return 2 * ((row + column + channel) % 2) + (row + channel // 2) % 2


def places(stage: int) -> list[Place]:
    """The latents of a stage, in the order of their symbols: of each 2 x 2 positions every fourth channel.

    >>> places(0)[0], places(3)[3]
    ((slice(0, None, 2), slice(0, None, 2), slice(0, None, 4)), (slice(1, None, 2), slice(1, None, 2), slice(1, None, 4)))
    """
    return [
        (slice(row, None, 2), slice(column, None, 2), slice(channel, None, STAGES))
        for row in (0, 1)
        for column in (0, 1)
        for channel in range(STAGES)
        if stage_of(row, column, channel) == stage
    ]


def coded_before(stage: int, place: Place) -> tuple[int, ...]:
    """Of every four channels at a place's positions, those that earlier stages have coded."""
    rows, columns, _ = place
    return tuple(channel for channel in range(STAGES) if stage_of(rows.start, columns.start, channel) < stage)


class ScaleModel:
    """Scales of a tile's symbols, from integers alone.

    `tensors` are those of the weights file's group `scales`, for N latent channels, a multiple of 4, and Z hyper-latent ones.
    `multiply` may be another library's product: all give the same integers, each by threads of its own.
    ValueError for shapes or values that break the rules of FORMAT.md, under which every sum is exact.
    """

    def __init__(self, tensors: Arrays, latent_channels: int, hyper_channels: int, multiply: Multiply = np.matmul) -> None:
        n, z = latent_channels, hyper_channels
        shapes = {
            "map.weight": (HYPER_UPSCALE**2 * n, len(QUADRANTS) * z),
            "map.shift": (HYPER_UPSCALE**2 * n,),
            "bias": (len(QUALITIES), n),
            "own.weight": (n, n),
            "edge.weight": (n, n),
            "diagonal.weight": (n, n),
            "context.shift": (n,),
            "expected": (SCALES,),
        }
        arrays = {name: _integers(tensors[name], name, shape) for name, shape in shapes.items()}
        if n % STAGES or OPERAND_MAX**2 * max(len(QUADRANTS) * z, 2 * n) >= SUM_LIMIT:
            raise ValueError(f"{n} latent and {z} hyper-latent channels: no multiple of {STAGES}, or too many for exact sums")
        self.channels, self._multiply = n, multiply
        self._bias, self._shift = arrays["bias"], arrays["context.shift"]
        # by quadrant, which has 2 x 2 of the latent positions
        self._map = arrays["map.weight"].astype(np.float32).reshape(2, 2, 2, 2, n, -1).swapaxes(1, 2).reshape(4, 4 * n, -1)
        self._map_shift = arrays["map.shift"].reshape(2, 2, 2, 2, n).swapaxes(1, 2).reshape(4, 4 * n)
        weights = {name: arrays[f"{name}.weight"].astype(np.float32) for name in ("own", "edge", "diagonal")}
        self._context = {
            (outputs.start, *inputs): np.concatenate(
                [
                    *(weights["own"][outputs, channel::STAGES] for channel in inputs),
                    *(weights[name][outputs, outputs] for name in ("edge", "diagonal")),
                ],
                1,
            ).T.copy()
            for stage in range(1, STAGES)
            for place in places(stage)
            for outputs, inputs in [(place[2], coded_before(stage, place))]
        }
        self._expected = arrays["expected"].astype(np.float32)
        self._magnitudes = np.round(MAGNITUDE_UNIT * np.log2(1 + np.arange(MAGNITUDES))).astype(np.float32)

    def base(self, hyper: np.ndarray, quality: int, height: int, width: int) -> np.ndarray:
        """Scales (height, width, N) int32, in 2**-SCALE_BITS of an index, from the hyper-latent (h, w, Z) int32 alone."""
        h, w, _ = hyper.shape
        around = np.pad(hyper.clip(-OPERAND_MAX, OPERAND_MAX).astype(np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
        out = np.empty((h, 2, 2, w, 2, 2, self.channels), np.int32)
        for (row, column), weights, shift in zip(QUADRANTS, self._map, self._map_shift, strict=True):
            near = [around[1 + i : 1 + i + h, 1 + j : 1 + j + w] for i in (0, row) for j in (0, column)]
            products = self._multiply(np.concatenate(near, -1).reshape(h * w, -1), weights.T)
            part = _shifted(products, shift).reshape(h, w, 2, 2, -1).swapaxes(1, 2)
            out[:, (row + 1) // 2, :, :, (column + 1) // 2] = part
        out = out.reshape(h * HYPER_UPSCALE, w * HYPER_UPSCALE, -1)[:height, :width]
        return out + self._bias[quality - 1]

    def coding(self, hyper: np.ndarray, quality: int, height: int, width: int) -> TileScales:
        """The scales of a tile of height x width latent positions, stage by stage."""
        return TileScales(self, self.base(hyper, quality, height, width))

    def surprise(self, symbols: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Magnitudes of symbols less those that their scale indices let expect, as logarithms: float32 integers."""
        return self._magnitudes.take(np.minimum(np.abs(symbols), MAGNITUDES - 1)) - self._expected.take(index)

    def correction(self, operands: np.ndarray, channels: slice, inputs: Sequence[int]) -> np.ndarray:
        """Returns the correction of the scales of some channels: (positions, N/4) int32.

        The operands are surprises, (positions, …): at the positions themselves those of the channels from each of `inputs` on,
        then at the edges and at the corners those of the same channels.
        """
        return _shifted(self._multiply(operands, self._context[channels.start, *inputs]), self._shift[channels])


class TileScales:
    """The scale indices of one tile, which each stage's symbols correct for the next.

    Call `stage` for 0 to 3 in turn, and give it the symbols of each of its places before the next stage.
    """

    def __init__(self, model: ScaleModel, base: np.ndarray) -> None:
        h, w, n = base.shape
        self._model, self._base = model, base
        # with a border of zeros; what a stage reads at a time lies together
        self._surprise = np.zeros((2, 2, STAGES, (h + 3) // 2, (w + 3) // 2, n // STAGES), np.float32)

    def stage(self, number: int) -> Iterator[tuple[Place, np.ndarray]]:
        """The places of a stage's symbols with their scale indices (h', w', N/4) uint8; places that are empty are left out."""
        for place in places(number):
            scales = self._base[place]
            if scales.size:
                yield place, indices(scales + self._correction(number, place) if number else scales)

    def add(self, place: Place, symbols: np.ndarray, index: np.ndarray) -> None:
        """Takes the symbols (h', w', N/4) of a place, and the scale indices that they were coded with."""
        self._at(place, (0, 0), place[2].start)[:] = self._model.surprise(symbols, index)

    def _at(self, place: Place, offset: tuple[int, int], channel: int) -> np.ndarray:
        """Surprises of every fourth channel from `channel` on, at a place's positions moved by an offset."""
        starts = [1 + part.start + by for part, by in zip(place, offset, strict=False)]
        rows, columns = (
            slice(start // 2, start // 2 + len(range(part.start, side, 2)))
            for start, part, side in zip(starts, place, self._base.shape, strict=False)
        )
        return self._surprise[starts[0] % 2, starts[1] % 2, channel, rows, columns]

    def _correction(self, number: int, place: Place) -> np.ndarray:
        inputs = coded_before(number, place)
        here = [self._at(place, (0, 0), channel) for channel in inputs]
        around = [sum(self._at(place, offset, place[2].start) for offset in offsets) for offsets in (EDGES, DIAGONALS)]
        operands = np.concatenate([*here, *(np.floor(total * np.float32(1 / 4)) for total in around)], -1)
        h, w, _ = operands.shape
        return self._model.correction(operands.reshape(h * w, -1), place[2], inputs).reshape(h, w, -1)


def indices(scales: np.ndarray) -> np.ndarray:
    """Scale indices (uint8) of scales in 2**-SCALE_BITS of an index: the nearest, within the tables."""
    rounded = scales + (1 << SCALE_BITS - 1)
    rounded >>= SCALE_BITS
    return rounded.clip(0, SCALES - 1, out=rounded).astype(np.uint8)


def _shifted(products: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Products (float32 integers) divided by 2**shift and rounded, half up: int32."""
    out = products.astype(np.int32)
    out += (1 << shift) >> 1
    out >>= shift
    return out


def _integers(values: np.ndarray, name: str, shape: Sequence[int]) -> np.ndarray:
    """A tensor as int32; ValueError where its shape or values are not as the format has them."""
    limit = {"weight": OPERAND_MAX, "shift": 23, "bias": 2**20, "expected": OPERAND_MAX}[name.rpartition(".")[2]]
    if values.dtype.kind not in "iu" or values.shape != tuple(shape):
        raise ValueError(f"{name}: {values.dtype} {values.shape}, not integers {tuple(shape)}")
    least = 0 if name.endswith("shift") else -limit
    if values.size and not least <= values.min() <= values.max() <= limit:
        raise ValueError(f"{name}: not within {least} to {limit}")
    return values.astype(np.int32)
