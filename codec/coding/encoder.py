"""From bands of a picture to the payloads of its tiles."""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from ..errors import CaeError
from ..format import container
from ..format.container import Payload
from ..format.geometry import LATENT_STRIDE, Rect, bands, grid
from ..format.header import NO_MODEL, Header, Kind
from ..networks.transforms import receptive_field
from ..runtime.heap import trim_heap
from ..runtime.threads import run_parallel
from .latent_search import Target, search_margin
from .lossless import encode_colour, encode_gray
from .mode_decision import LosslessLayer, choose_layers, without_layers
from .screen_content import filled
from .settings import WIDE, Job, with_fallback
from .tile_coder import encode_tile
from .windowed_transforms import analyse


def encode(pixels: np.ndarray, job: Job, metadata: Mapping[str, bytes]) -> bytes:
    """Codes a whole picture (H, W, 1 to 4) in the type that the header says, alpha last, to the bytes of a `.cae` file."""
    file = io.BytesIO()
    writer = container.Writer(file, job.header, metadata)
    for payload in encode_bands([pixels], job):
        writer.add(payload)
    writer.finish()
    return file.getvalue()


def encode_bands(arriving: Iterable[np.ndarray], job: Job) -> Iterator[Payload]:
    """The payloads of a picture's tiles, in the order of the index, as soon as its rows are there.

    `arriving` is the picture from top to bottom in bands of any heights: (rows, width, channels), alpha last. Raises
    CaeError where the bands do not fit the header.
    """
    encoder = BandEncoder(job)
    for rows in arriving:
        yield from encoder.add(rows)
    encoder.finish()


class BandEncoder:
    """A picture whose rows are given from top to bottom, any number at a time, and of which no more are kept than needed."""

    def __init__(self, job: Job) -> None:
        self._job, self._header = job, job.header
        self._rows = _Rows(job.header)
        self._margin = receptive_field(job.model.analysis) + search_margin(job)
        step = job.header.tile * -(-job.settings.window // job.header.tile)
        self._bands = bands(job.header.bounds, step, job.settings.band_cells)
        self._band = next(self._bands, None)

    @property
    def largest(self) -> int:
        """The largest sample of colours so far, in pictures of more than 8 bits."""
        return self._rows.largest

    def add(self, rows: np.ndarray) -> Iterator[Payload]:
        """The payloads that are ready with these rows, (rows, width, channels) in the picture's type; it must be exhausted.

        The array may be written to afterwards. Raises CaeError where it does not fit the picture.
        """
        self._rows.add(rows)
        while (band := self._band) and (place := self._place(band)).bottom <= self._rows.bottom:
            pixels = self._rows.take(place.top, place.bottom)
            self._band = next(self._bands, None)
            self._rows.drop(self._needed)  # before the work, for which there is more room then
            yield from _encode_band(pixels, place, band, self._job)
        self._rows.keep_from(self._needed)

    def finish(self) -> None:
        """CaeError where rows are missing."""
        if self._band:
            raise CaeError(f"only {self._rows.bottom} of the picture's {self._header.height} rows")

    @property
    def _needed(self) -> int:
        """The first row that is still wanted."""
        return self._place(self._band).top if self._band else self._rows.bottom

    def _place(self, band: Rect) -> Rect:
        """The rows that a band's analysis sees."""
        return Rect(band.top - self._margin, 0, band.bottom + self._margin, self._header.width) & self._header.bounds


def _encode_band(pixels: np.ndarray, place: Rect, band: Rect, job: Job) -> Iterator[Payload]:
    """Payloads of the tiles of a band, which holds whole rows of them; the pixels are those of `place`."""
    header, threads = job.header, job.settings.threads
    colour = pixels[..., : header.colours]
    cells = list(grid(band, header.tile))
    if header.model_id == NO_MODEL:
        whole = [(number, tile.relative_to(place).slices) for number, tile in cells]
        layers = dict(
            run_parallel(
                lambda cell: (cell[0], LosslessLayer(None, encode_colour(colour[cell[1]], depth=header.depth))), whole, threads
            )
        )
    else:
        if header.has_alpha and (hidden := pixels[..., -1] == 0).any():
            colour = filled(colour, hidden, header.largest // 2 + 1)  # nobody sees these, so they shall cost little
        latent = _analyse(colour, place, band, job)
        coded = _encode_tiles(latent, band, cells, job)
        _make_room(band)
        layers = choose_layers(colour, place, band, latent, [coded[number] for number, _ in cells], job)
        rest = [cell for cell in cells if cell[0] not in layers or layers[cell[0]].shown is not None]
        del latent  # there may be another
        if layers and rest:
            latent = _analyse(without_layers(colour, place, band, layers, job), place, band, job)
            for number, payload in _encode_tiles(latent, band, rest, job).items():
                if number in layers and 8 * len(payload.data) > layers[number].rest:
                    del layers[number]
                else:
                    coded[number] = payload
        if job.options.searches:
            coded |= _search(colour, pixels, place, band, rest, layers, job)

    def add_alpha(cell: tuple[int, Rect]) -> Payload:
        return Payload(Kind.LOSSLESS, encode_gray(pixels[..., -1][cell[1].relative_to(place).slices], header.depth))

    alphas = run_parallel(add_alpha, cells, threads) if header.has_alpha else []
    for number, _ in cells:
        if number not in layers:
            yield coded[number]
        elif layers[number].shown is None:
            yield Payload(Kind.LOSSLESS, layers[number].data)
        else:
            yield container.join(layers[number].data, coded[number].data)
        yield from alphas[number : number + 1]


def _search(
    colour: np.ndarray,
    pixels: np.ndarray,
    place: Rect,
    band: Rect,
    cells: Sequence[tuple[int, Rect]],
    layers: Mapping[int, LosslessLayer],
    job: Job,
) -> dict[int, Payload]:
    """Payloads of a band's tiles that are not wholly lossless, with searched symbols."""
    if job.count_searched:
        job.count_searched(band.height * band.width - sum(tile.height * tile.width for _, tile in cells))
    if not cells:
        return {}
    seen = pixels[..., -1] > 0 if job.header.has_alpha else np.ones(pixels.shape[:2], bool)
    for number, tile in cells:
        if number in layers:
            seen[tile.relative_to(place).slices] &= ~layers[number].shown
    shown = without_layers(colour, place, band, layers, job) if layers else colour
    wide = band.grow(search_margin(job), job.header.bounds)
    return _encode_tiles(_analyse(shown, place, wide, job), wide, cells, job, _Seen(shown, seen, place))


def _analyse(colour: np.ndarray, place: Rect, region: Rect, job: Job) -> Tensor:
    _make_room(region)
    latent = with_fallback(lambda job: analyse(colour, place, region, job), job)
    _make_room(region)
    return latent


def _make_room(band: Rect) -> None:
    """Before and after what takes the most memory."""
    if band.width >= WIDE:
        trim_heap()


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the transform is to show: colours (H, W, 1 or 3), which of them (H, W) anyone sees, and their place."""

    colour: np.ndarray
    visible: np.ndarray
    place: Rect


def _encode_tiles(
    latent: Tensor, region: Rect, cells: Sequence[tuple[int, Rect]], job: Job, seen: _Seen | None = None
) -> dict[int, Payload]:
    """Transform-coded payloads of tiles, by their numbers; the latent is that of a region which holds them.

    With what is to be seen, symbols are searched as the job's effort says.
    """
    origin = region.outward(LATENT_STRIDE)

    def code(cell: tuple[int, Rect]) -> tuple[int, Payload]:
        number, tile = cell
        inside = tile.outward(LATENT_STRIDE).relative_to(origin)
        target = None
        if seen is not None:
            here = tile.relative_to(seen.place).slices
            visible = seen.visible[here]
            target = Target.of(seen.colour[here], None if visible.all() else visible, latent, inside)
        return number, with_fallback(lambda job: encode_tile(latent[inside.slices], tile, job, target), job, windows=False)

    return dict(run_parallel(code, cells, job.settings.threads))


class _Rows:
    """Rows of a picture, of which it keeps those that are still wanted.

    `bottom` of them have come, of whose colours `largest` is the largest sample, in pictures of more than 8 bits.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._held: deque[np.ndarray] = deque()
        self._top = self.bottom = 0
        self.largest = 0
        self._own = 0  # of the arrays held, how many are copies

    def add(self, band: np.ndarray) -> None:
        """Takes the next rows; CaeError where they do not fit the picture."""
        width, height, channels = self._header.width, self._header.height, self._header.channels
        if band.dtype != self._header.dtype or band.shape[1:] != (width, channels):
            wanted = f"{self._header.dtype} (rows, {width}, {channels})"
            raise CaeError(f"rows of {band.dtype} {band.shape} for a picture of {wanted}")
        if self._header.is_high_bit_depth and len(band):
            self.largest = max(self.largest, int(band[..., : self._header.colours].max()))
            most = max(self.largest, int(band[..., -1].max()))
            if most > self._header.largest:
                what = "a sample" if most == self.largest else "a sample of the alpha"
                reach = f"those of {self._header.depth} bits reach {self._header.largest}"
                raise CaeError(f"{what} is {most}, but {reach}; leave the depth out where a file names its own")
        if self.bottom + len(band) > height:
            raise CaeError(f"more rows than the picture's height of {height}")
        if len(band):
            self._held.append(band)
            self.bottom += len(band)

    def take(self, top: int, bottom: int) -> np.ndarray:
        """Rows top to bottom - 1; those above `top` are gone from then on."""
        self.drop(top)
        parts, start = [], self._top
        for part in self._held:
            if start < bottom:
                parts.append(part[max(0, top - start) : bottom - start])
            start += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def keep_from(self, top: int) -> None:
        """Copies the rows from `top` on, unless that has been done, so that they stay when their arrays change."""
        self.drop(top)
        if self._held and not self._own:
            self._held[0] = self._held[0][top - self._top :]
            self._top = top
        for number in range(self._own, len(self._held)):
            self._held[number] = self._held[number].copy()
        self._own = len(self._held)

    def drop(self, top: int) -> None:
        """Lets go of arrays that end above a row."""
        while self._held and self._top + len(self._held[0]) <= top:
            self._top += len(self._held.popleft())
            self._own = max(0, self._own - 1)
