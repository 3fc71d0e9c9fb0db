"""The encoder: bands of a picture to the payloads of its tiles."""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from ..errors import CaeError, SampleError
from ..format import container
from ..format.geometry import LATENT_STRIDE, Rect, bands, grid
from ..format.header import NO_MODEL, Header, Kind
from ..format.payload import Payload, join_mixed
from ..networks.transforms import receptive_field
from ..runtime.heap import trim_heap
from ..runtime.threads import run_parallel
from .jobs import EncodeJob, with_fallback
from .latent_search import SearchTarget, search_margin
from .lossless import encode_colour, encode_gray
from .mode_decision import LosslessLayer, choose_layers, without_layers
from .screen_content import fill_hidden
from .settings import WIDE
from .tile_encoder import encode_tile
from .windowed_analysis import analyse


def encode(pixels: np.ndarray, job: EncodeJob, metadata: Mapping[str, bytes]) -> bytes:
    """Codes a whole picture (H, W, 1 to 4) in the type that the header says, alpha last, to the bytes of a `.cae` file."""
    file = io.BytesIO()
    writer = container.Writer(file, job.header, metadata)
    for payload in encode_bands([pixels], job):
        writer.add(payload)
    writer.finish()
    return file.getvalue()


def encode_bands(rows: Iterable[np.ndarray], job: EncodeJob) -> Iterator[Payload]:
    """Yields the payloads of a picture's tiles, in the order of the index, as soon as its rows are there.

    `rows` is the picture from top to bottom in pieces of any heights: (rows, width, channels), alpha last. Raises CaeError
    where they do not fit the header.
    """
    encoder = BandEncoder(job)
    for piece in rows:
        yield from encoder.add(piece)
    encoder.finish()


class BandEncoder:
    """Encodes a picture whose rows come from top to bottom, any number at a time; keeps no more of them than it needs."""

    def __init__(self, job: EncodeJob) -> None:
        self._job, self._header = job, job.header
        self._rows = _RowBuffer(job.header)
        self._margin = receptive_field(job.model.analysis) + search_margin(job)
        step = job.header.tile * -(-job.settings.window // job.header.tile)
        self._bands = bands(job.header.bounds, step, job.settings.band_windows)
        self._band = next(self._bands, None)

    @property
    def largest(self) -> int:
        """The largest sample of colours so far, in pictures of more than 8 bits."""
        return self._rows.largest

    def add(self, rows: np.ndarray) -> Iterator[Payload]:
        """Yields the payloads that are ready with these rows, (rows, width, channels) in the picture's type.

        It must be exhausted; the array may be written to afterwards. Raises CaeError where it does not fit the picture.
        """
        self._rows.add(rows)
        while (band := self._band) and (place := self._place(band)).bottom <= self._rows.bottom:
            pixels = self._rows.take(place.top, place.bottom)
            self._band = next(self._bands, None)
            self._rows.drop(self._first_needed)  # before the work, to make room for it
            yield from _encode_band(pixels, place, band, self._job)
        self._rows.keep_from(self._first_needed)

    def finish(self) -> None:
        """CaeError where rows are missing."""
        if self._band:
            raise CaeError(f"only {self._rows.bottom} of the picture's {self._header.height} rows")

    @property
    def _first_needed(self) -> int:
        """The first row that is still needed."""
        return self._place(self._band).top if self._band else self._rows.bottom

    def _place(self, band: Rect) -> Rect:
        """The rows that a band's analysis sees."""
        return Rect(band.top - self._margin, 0, band.bottom + self._margin, self._header.width) & self._header.bounds


def _encode_band(pixels: np.ndarray, place: Rect, band: Rect, job: EncodeJob) -> Iterator[Payload]:
    """Yields payloads of the tiles of a band, which holds whole rows of them; the pixels are those of `place`."""
    header, threads = job.header, job.settings.threads
    colour = pixels[..., : header.colours]
    cells = list(grid(band, header.tile))
    if header.model_id == NO_MODEL:

        def encode_lossless(cell: tuple[int, Rect]) -> tuple[int, LosslessLayer]:
            number, tile = cell
            layer = LosslessLayer(None, encode_colour(colour[tile.relative_to(place).slices], depth=header.depth))
            job.count(tile.height * tile.width / 2)
            return number, layer

        layers = dict(run_parallel(encode_lossless, cells, threads))
    else:
        if header.has_alpha and (hidden := pixels[..., -1] == 0).any():
            colour = fill_hidden(colour, hidden, header.largest // 2 + 1)  # invisible, so they should cost little
        latent = _analyse(colour, place, band, job)
        coded = _encode_tiles(latent, band, cells, job, counts=not job.options.searches)
        _trim_heap_if_wide(band)
        layers = choose_layers(colour, place, band, latent, [coded[number] for number, _ in cells], job)
        rest = [cell for cell in cells if cell[0] not in layers or layers[cell[0]].mask is not None]
        del latent  # there may be another
        if layers and rest:
            latent = _analyse(without_layers(colour, place, band, layers, job), place, band, job)
            for number, payload in _encode_tiles(latent, band, rest, job).items():
                if number in layers and 8 * len(payload.data) > layers[number].transform_bits_max:
                    del layers[number]
                else:
                    coded[number] = payload
        if job.options.searches:
            coded |= _search(colour, pixels, place, band, rest, layers, job)

    def encode_alpha(cell: tuple[int, Rect]) -> Payload:
        return Payload(Kind.LOSSLESS, encode_gray(pixels[..., -1][cell[1].relative_to(place).slices], header.depth))

    alphas = run_parallel(encode_alpha, cells, threads) if header.has_alpha else []
    for number, tile in cells:
        if not job.options.searches:
            job.count(tile.height * tile.width / 2)
        if number not in layers:
            yield coded[number]
        elif layers[number].mask is None:
            yield Payload(Kind.LOSSLESS, layers[number].data)
        else:
            yield join_mixed(layers[number].data, coded[number].data)
        yield from alphas[number : number + 1]


def _search(
    colour: np.ndarray,
    pixels: np.ndarray,
    place: Rect,
    band: Rect,
    cells: Sequence[tuple[int, Rect]],
    layers: Mapping[int, LosslessLayer],
    job: EncodeJob,
) -> dict[int, Payload]:
    """Payloads, by number, of a band's tiles that are not wholly lossless, with searched symbols."""
    job.count(band.height * band.width - sum(tile.height * tile.width for _, tile in cells))
    if not cells:
        return {}
    visible = pixels[..., -1] > 0 if job.header.has_alpha else np.ones(pixels.shape[:2], bool)
    for number, tile in cells:
        if number in layers:
            visible[tile.relative_to(place).slices] &= ~layers[number].mask
    shown = without_layers(colour, place, band, layers, job) if layers else colour
    region = band.grow(search_margin(job), job.header.bounds)
    latent = _analyse(shown, place, region, job)
    return _encode_tiles(latent, region, cells, job, _Original(shown, visible, place))


def _analyse(colour: np.ndarray, place: Rect, region: Rect, job: EncodeJob) -> Tensor:
    _trim_heap_if_wide(region)
    latent = with_fallback(lambda job: analyse(colour, place, region, job), job)
    _trim_heap_if_wide(region)
    return latent


def _trim_heap_if_wide(band: Rect) -> None:
    """Gives freed memory back to the system, before and after the work that takes the most."""
    if band.width >= WIDE:
        trim_heap()


@dataclasses.dataclass(frozen=True)
class _Original:
    """Pixels for the transform to show: colours (H, W, 1 or 3), a mask (H, W) of visible ones, and their place."""

    colour: np.ndarray
    visible: np.ndarray
    place: Rect


def _encode_tiles(
    latent: Tensor,
    region: Rect,
    cells: Sequence[tuple[int, Rect]],
    job: EncodeJob,
    original: _Original | None = None,
    *,
    counts: bool = False,
) -> dict[int, Payload]:
    """Transform-coded payloads of tiles, by number, from the latent of a region that holds them.

    With the original, symbols are searched as the job's effort says. With `counts`, each tile counts as half done.
    """
    origin = region.outward(LATENT_STRIDE)

    def code(cell: tuple[int, Rect]) -> tuple[int, Payload]:
        number, tile = cell
        inside = tile.outward(LATENT_STRIDE).relative_to(origin)
        target = None
        if original is not None:
            here = tile.relative_to(original.place).slices
            visible = original.visible[here]
            target = SearchTarget.of(original.colour[here], None if visible.all() else visible, latent, inside)
        payload = with_fallback(lambda job: encode_tile(latent[inside.slices], tile, job, target), job, windows=False)
        if counts:
            job.count(tile.height * tile.width / 2)
        return number, payload

    return dict(run_parallel(code, cells, job.settings.threads))


class _RowBuffer:
    """Rows of a picture, which keeps those that are still needed.

    `bottom` of them have come; `largest` is the largest sample of their colours, in pictures of more than 8 bits.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._arrays: deque[np.ndarray] = deque()
        self._top = self.bottom = 0
        self.largest = 0
        self._copies = 0  # of the arrays, from the first on

    def add(self, rows: np.ndarray) -> None:
        """Takes the next rows; CaeError where they do not fit the picture."""
        width, height, channels = self._header.width, self._header.height, self._header.channels
        if rows.dtype != self._header.dtype or rows.shape[1:] != (width, channels):
            expected = f"{self._header.dtype} (rows, {width}, {channels})"
            raise CaeError(f"rows of {rows.dtype} {rows.shape} for a picture of {expected}")
        if self._header.is_high_bit_depth and len(rows):
            self.largest = max(self.largest, int(rows[..., : self._header.colours].max()))
            most = max(self.largest, int(rows[..., -1].max()))
            if most > self._header.largest:
                what = "a sample" if most == self.largest else "a sample of the alpha"
                reach = f"those of {self._header.depth} bits reach {self._header.largest}"
                raise SampleError(f"{what} is {most}, but {reach}; leave the depth out where a file names its own")
        if self.bottom + len(rows) > height:
            raise CaeError(f"more rows than the picture's height of {height}")
        if len(rows):
            self._arrays.append(rows)
            self.bottom += len(rows)

    def take(self, top: int, bottom: int) -> np.ndarray:
        """Returns rows top to bottom - 1; drops those above `top`."""
        self.drop(top)
        parts, start = [], self._top
        for rows in self._arrays:
            if start < bottom:
                parts.append(rows[max(0, top - start) : bottom - start])
            start += len(rows)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def keep_from(self, top: int) -> None:
        """Copies the rows from `top` on, unless that has been done, so that they stay when their arrays change."""
        self.drop(top)
        if self._arrays and not self._copies:
            self._arrays[0] = self._arrays[0][top - self._top :]
            self._top = top
        for number in range(self._copies, len(self._arrays)):
            self._arrays[number] = self._arrays[number].copy()
        self._copies = len(self._arrays)

    def drop(self, top: int) -> None:
        """Drops arrays that end above a row."""
        while self._arrays and self._top + len(self._arrays[0]) <= top:
            self._top += len(self._arrays.popleft())
            self._copies = max(0, self._copies - 1)
