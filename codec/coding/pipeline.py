"""From pixels to a `.cae` file and back: ties transforms, entropy networks, entropy coder, tiles and container."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CaeError
from ..format import container, entropy_coding
from ..format.limits import PIXELS_MAX, check_size
from ..format.tiling import HYPER_STRIDE, LATENT_STRIDE, Rect, bands, grid
from ..networks import model as models
from ..networks.config import FEATURE_STRIDE
from ..networks.entropy_networks import MEAN_BITS, deviation, unpack
from ..networks.model import Model
from ..networks.products import LIMIT
from ..options import EncodeOptions
from ..runtime import devices
from ..runtime.threads import run_parallel

WINDOW = 1024
"""Side in pixels of the square pieces in which the transforms run."""
WINDOW_MIN = 128
BAND_CELLS = 4
"""Windows for each thread in a band, the part of a picture that is worked on at a time."""
Result = TypeVar("Result")
Groups = list[tuple[entropy_coding.Table, np.ndarray]]
Tiles = dict[int, Tensor]
"""Reconstructed latents (h, w, N) int32 by the numbers of their tiles."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a codec runs.

    `bf16` None means that the encoder uses it where it is fast, and the decoder does not, so that its pixels agree
    everywhere. `pixels_max` bounds what a file can make the decoder allocate.
    """

    threads: int
    bf16: bool | None = None
    window: int = WINDOW
    pixels_max: int = PIXELS_MAX

    def encoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        return devices.precision(device, devices.fast_bf16(device) if self.bf16 is None else self.bf16)

    def decoding_precision(self, device: torch.device) -> AbstractContextManager[None]:
        return devices.precision(device, bool(self.bf16))


def halo(network: nn.Module) -> int:
    """Pixels beyond a window that reach into it through a transform, from its layers, in whole latent positions."""
    reach = sum(FEATURE_STRIDE * (layer.kernel_size[0] // 2) for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return -(-reach // LATENT_STRIDE) * LATENT_STRIDE


def encode(
    pixels: np.ndarray, model: Model, settings: Settings, options: EncodeOptions, metadata: Mapping[str, bytes]
) -> bytes:
    """Codes pixels (H, W, C) uint8, C = 1 or 3, to the bytes of a `.cae` file.

    It reads them band by band from top to bottom, so that they may lie in a file mapped to memory.
    """
    height, width, channels = pixels.shape
    header = container.Header(width, height, channels, options.quality, options.tile, model.id)
    payloads: list[bytes] = []
    for band in bands(header.bounds, options.tile * -(-settings.window // options.tile), BAND_CELLS * settings.threads):
        payloads += _encode_band(pixels, band, model, settings, options)
    return container.write(header, metadata, payloads)


def _encode_band(pixels: np.ndarray, band: Rect, model: Model, settings: Settings, options: EncodeOptions) -> list[bytes]:
    """Payloads of the tiles of a band, which holds whole rows of them."""
    latent = _with_fallback(lambda m, s: analyse(pixels, band, m, s, options.quality), model, settings)
    origin = band.outward(LATENT_STRIDE)

    def code(cell: tuple[int, Rect]) -> bytes:
        rows, columns = cell[1].outward(LATENT_STRIDE).relative_to(origin).slices
        y = latent[None, rows, columns]
        return entropy_coding.encode(
            _with_fallback(lambda m, s: tile_groups(y, m, s, options.quality), model, settings, windows=False)
        )

    return run_parallel(code, grid(band, options.tile), settings.threads)


def decode(data: container.Data, file: container.Container, model: Model, settings: Settings, region: Rect) -> np.ndarray:
    """Decodes one region (or all) of a file, which `container.read` has parsed, to pixels (h, w, C) uint8."""
    _check_region(region, file.header)
    advice = "; decode it region by region, or raise the limit (--max-pixels, Codec's pixels_max)"
    check_size(region.width, region.height, settings.pixels_max, advice)
    out = np.empty((region.height, region.width, file.header.channels), np.uint8)
    top = 0
    for rows in decode_bands(data, file, model, settings, region):
        out[top : top + len(rows)] = rows
        top += len(rows)
    return out


def decode_bands(
    data: container.Data, file: container.Container, model: Model, settings: Settings, region: Rect
) -> Iterator[np.ndarray]:
    """Decodes a region to bands of it, (h, w, C) uint8, from top to bottom.

    No more memory is in use at a time than the tiles need that a band and its halo touch.
    """
    header = file.header
    _check_region(region, header)
    tiles: Tiles = {}
    # the windows lie on one grid whatever the region, so that a region comes out as the whole picture's crop to the bit
    for band in bands(header.bounds, settings.window, BAND_CELLS * settings.threads, touching=region):
        part = band & region
        tiles = _decode_tiles(data, file, model, settings, part, tiles)
        yield _with_fallback(functools.partial(_synthesise, tiles, part, header), model, settings)


def _check_region(region: Rect, header: container.Header) -> None:
    if region.height <= 0 or region.width <= 0 or region & header.bounds != region:
        where = f"x {region.left}, y {region.top}, {region.width} x {region.height}"
        raise CaeError(f"the region ({where}) is not within the picture's {header.width} x {header.height} pixels")


def decode_latent(data: container.Data, file: container.Container, model: Model, settings: Settings, region: Rect) -> Tensor:
    """The reconstructed latent (h, w, N) int32 of a region, in units of 2**-MEAN_BITS quantisation steps.

    It is exact on every machine.
    """
    tiles = _decode_tiles(data, file, model, settings, region, {})
    return _gather(tiles, region.outward(LATENT_STRIDE), file.header)


def _decode_tiles(
    data: container.Data, file: container.Container, model: Model, settings: Settings, region: Rect, known: Tiles
) -> Tiles:
    """Latents of the tiles that the synthesis of a region reads; of those that are `known` already, the very same."""
    header = file.header
    needed = region.grow(halo(model.synthesis), header.bounds)
    cells = list(grid(header.bounds, header.tile, touching=needed))

    def decode_one(cell: tuple[int, Rect]) -> Tensor:
        number, place = cell
        if number in known:
            return known[number]
        place = place.outward(LATENT_STRIDE)
        payload = container.payload(data, file, number)
        try:
            return _with_fallback(lambda m, _: _decode_tile(payload, place, m, header.quality), model, settings, windows=False)
        except CaeError as error:
            raise CaeError(f"tile {number}: {error}") from None

    latents = run_parallel(decode_one, cells, settings.threads)
    return {number: latent for (number, _), latent in zip(cells, latents, strict=True)}


def _gather(tiles: Tiles, window: Rect, header: container.Header) -> Tensor:
    """The latent (h, w, N) int32 of a rectangle of latent positions, zero where a tile is not at hand."""
    channels = next(iter(tiles.values())).shape[-1]
    latent = torch.zeros(window.height, window.width, channels, dtype=torch.int32, device="cpu")
    for number, place in grid(header.bounds, header.tile, touching=window.scaled(LATENT_STRIDE) & header.bounds):
        if number in tiles:
            place = place.outward(LATENT_STRIDE)
            shared = place & window
            latent[shared.relative_to(window).slices] = tiles[number][shared.relative_to(place).slices]
    return latent


def _with_fallback(
    work: Callable[[Model, Settings], Result], model: Model, settings: Settings, *, windows: bool = True
) -> Result:
    """Runs `work`; out of memory on a GPU, tries again with smaller windows (if it uses any), and at last on the CPU."""
    attempt, smaller = model, settings
    while True:
        try:
            return work(attempt, smaller)
        except RuntimeError as error:
            if attempt.device.type == "cpu" or not devices.out_of_memory(error):
                raise
        # outside the handler, which would keep the tensors alive
        if smaller is settings:
            warnings.warn("out of GPU memory: going on with smaller pieces, then on the CPU", RuntimeWarning, stacklevel=1)
        torch.cuda.empty_cache()
        if windows and smaller.window > WINDOW_MIN:
            smaller = dataclasses.replace(smaller, window=smaller.window // 2)
        else:
            attempt, smaller = models.on_cpu(model.path, model.id), settings


def _windows_at_once(model: Model, settings: Settings) -> int:
    # a GPU is filled by one window, and two would need twice its memory
    return settings.threads if model.device.type == "cpu" else 1


def analyse(pixels: np.ndarray, region: Rect, model: Model, settings: Settings, quality: int) -> Tensor:
    """The latent (h, w, N) float32 on the CPU, in quantisation steps, of a region whose corner is a latent position's."""
    height, width, _ = pixels.shape
    whole = Rect(0, 0, height, width).outward(LATENT_STRIDE)
    origin = region.outward(LATENT_STRIDE)
    channels = model.config.latent_channels
    latent = torch.empty(origin.height, origin.width, channels, dtype=torch.float32, device="cpu")
    margin = halo(model.analysis)
    level, gain = model.level(quality), model.gain[quality - 1]

    def run(cell: tuple[int, Rect]) -> None:
        core = cell[1].outward(LATENT_STRIDE)
        window = core.grow(margin // LATENT_STRIDE, whole)
        piece = np.array(pixels[window.scaled(LATENT_STRIDE).slices])
        need = window.height * LATENT_STRIDE - piece.shape[0], window.width * LATENT_STRIDE - piece.shape[1]
        if any(need):
            piece = np.pad(piece, ((0, need[0]), (0, need[1]), (0, 0)), mode="edge")
        with settings.encoding_precision(model.device):
            x = torch.from_numpy(piece).to(model.device).expand(-1, -1, 3)
            y = model.analysis(x[None].float() / 255 - 0.5, level, halo=core.margins_in(window))[0] * gain
            latent[core.relative_to(origin).slices] = y.cpu()

    run_parallel(run, grid(region, settings.window), _windows_at_once(model, settings))
    return latent


def _synthesise(tiles: Tiles, region: Rect, header: container.Header, model: Model, settings: Settings) -> np.ndarray:
    """Pixels (h, w, C) uint8 of a region."""
    whole = header.bounds.outward(LATENT_STRIDE)
    margin = halo(model.synthesis) // LATENT_STRIDE
    level, gain = model.level(header.quality), model.gain[header.quality - 1] * 2**MEAN_BITS
    out = np.empty((region.height, region.width, header.channels), np.uint8)

    def synthesise(cell: tuple[int, Rect]) -> None:
        core = cell[1].outward(LATENT_STRIDE)
        window = core.grow(margin, whole)
        y = _gather(tiles, window, header)
        with settings.decoding_precision(model.device):
            x = model.synthesis(y[None].to(model.device).float() / gain, level, halo=core.margins_in(window))[0]
            wanted = cell[1] & region
            x = x[wanted.relative_to(core.scaled(LATENT_STRIDE)).slices]
            if header.channels == 1:
                x = x.mean(-1, keepdim=True)
            x = x.add(0.5).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
        out[wanted.relative_to(region).slices] = x.cpu().numpy()

    windows = -(-header.width // settings.window) * -(-header.height // settings.window)
    cells = grid(header.bounds, settings.window, touching=region)
    run_parallel(synthesise, cells, _windows_at_once(model, settings), among=windows)
    return out


def tile_groups(y: Tensor, model: Model, settings: Settings, quality: int) -> Groups:
    """Symbols of a tile's scaled latent (1, h, w, N), grouped by table, in decoding order."""
    _, h, w, _ = y.shape
    y = y.to(model.device)
    with settings.encoding_precision(model.device):
        z = model.hyper_analysis(_pad_to_hyper(y)).round_().clamp_(-LIMIT, LIMIT).to(torch.int32)
    with torch.inference_mode():
        features, mean, index = model.entropy.first(z, quality, h, w)
        wanted, flat = deviation(y, mean, 0), model.quantiser.is_flat(index)
        symbols = model.quantiser.choose(wanted, index, flat)
        mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
        wanted_second = model.quantiser.make_up(deviation(y, mean_second, 1), wanted, symbols, flat)
        symbols_second = model.quantiser.choose(wanted_second, index_second, flat)
    hyper = z[0].reshape(-1, z.shape[-1]).T.cpu().numpy()
    groups = list(zip(model.hyper_tables, hyper, strict=True))
    for values, tables in ((symbols, index), (symbols_second, index_second)):
        groups += entropy_coding.group_values(values.cpu().numpy().ravel(), tables.cpu().numpy().ravel(), model.scale_tables)
    return groups


def _decode_tile(payload: memoryview, place: Rect, model: Model, quality: int) -> Tensor:
    """The reconstructed latent (h, w, N) int32 of a tile that covers `place` (latent positions), on the CPU."""
    h, w = place.height, place.width
    unit = HYPER_STRIDE // LATENT_STRIDE
    shape = -(-h // unit), -(-w // unit)
    decoder = entropy_coding.Decoder(payload)
    z = np.stack([decoder.decode(table, shape[0] * shape[1]) for table in model.hyper_tables], -1).reshape(1, *shape, -1)

    def read(index: Tensor) -> Tensor:
        values = decoder.decode_groups(index.cpu().numpy().ravel(), model.scale_tables)
        return torch.from_numpy(values).to(model.device).reshape(index.shape)

    with torch.inference_mode():
        features, mean, index = model.entropy.first(torch.from_numpy(z).to(model.device), quality, h, w)
        symbols = read(index)
        mean_second, index_second = model.entropy.second(features, mean, symbols, quality)
        symbols_second = read(index_second)
        decoder.finish()
        first = mean.add_(symbols, alpha=2**MEAN_BITS)
        return unpack(first, mean_second.add_(symbols_second, alpha=2**MEAN_BITS))[0].cpu()


def _pad_to_hyper(y: Tensor) -> Tensor:
    """Repeats the last rows and columns of (1, h, w, N) until the hyper analysis can halve them twice."""
    unit = HYPER_STRIDE // LATENT_STRIDE
    rows, columns = -y.shape[1] % unit, -y.shape[2] % unit
    if not (rows or columns):
        return y
    return nn.functional.pad(y.permute(0, 3, 1, 2), (0, columns, 0, rows), mode="replicate").permute(0, 2, 3, 1)
