"""From bands of a picture to the payloads of its tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ..errors import CaeError
from ..format import container
from ..format.container import Header, Kind, Payload
from ..format.tiling import LATENT_STRIDE, Rect, bands, grid
from ..images.lossless import encode_gray
from ..networks.model import Model
from ..networks.transforms import receptive_field
from ..options import EncodeOptions
from ..runtime.threads import run_parallel
from .settings import Settings, with_fallback
from .tiles import encode_tile
from .transforming import analyse


def encode(
    pixels: np.ndarray, model: Model, settings: Settings, options: EncodeOptions, metadata: Mapping[str, bytes]
) -> bytes:
    """Codes a whole picture (H, W, 1 to 4) uint8, alpha last, to the bytes of a `.cae` file."""
    height, width, channels = pixels.shape
    header = Header(width, height, channels, options.quality, options.tile, model.id)
    return container.write(header, metadata, list(encode_bands([pixels], header, model, settings)))


def encode_bands(arriving: Iterable[np.ndarray], header: Header, model: Model, settings: Settings) -> Iterator[Payload]:
    """The payloads of a picture's tiles, in the order of the index, as soon as its rows are there.

    Args:
        arriving: the picture from top to bottom in bands of any heights: (rows, width, channels) uint8, alpha last.
        header: what the file's header will say.

    Raises:
        CaeError: where the bands do not fit the header.
    """
    rows = _Rows(arriving, header)
    margin = receptive_field(model.analysis)
    step = header.tile * -(-settings.window // header.tile)
    for band in bands(header.bounds, step, settings.band_cells):
        place = Rect(band.top - margin, 0, band.bottom + margin, header.width) & header.bounds
        yield from _encode_band(rows.take(place.top, place.bottom), place, band, header, model, settings)
    rows.finish()


def _encode_band(
    pixels: np.ndarray, place: Rect, band: Rect, header: Header, model: Model, settings: Settings
) -> Iterator[Payload]:
    """Payloads of the tiles of a band, which holds whole rows of them; the pixels are those of `place`."""
    colour, quality = pixels[..., : header.colours], header.quality
    latent = with_fallback(lambda m, s: analyse(colour, place, band, header.bounds, m, s, quality), model, settings)
    origin = band.outward(LATENT_STRIDE)

    def code(cell: tuple[int, Rect]) -> list[Payload]:
        tile = cell[1]
        y = latent[tile.outward(LATENT_STRIDE).relative_to(origin).slices]
        coded = [with_fallback(lambda m, s: encode_tile(y, tile, m, s, quality), model, settings, windows=False)]
        if header.has_alpha:
            coded.append(Payload(Kind.LOSSLESS, encode_gray(pixels[..., -1][tile.relative_to(place).slices])))
        return coded

    for coded in run_parallel(code, grid(band, header.tile), settings.threads):
        yield from coded


class _Rows:
    """Rows of a picture that arrive in bands, of which it keeps those that are still wanted."""

    def __init__(self, arriving: Iterable[np.ndarray], header: Header) -> None:
        self._arriving = iter(arriving)
        self._header = header
        self._held: deque[np.ndarray] = deque()
        self._top = self._bottom = 0

    def take(self, top: int, bottom: int) -> np.ndarray:
        """Rows top to bottom - 1; those above `top` are gone from then on."""
        while self._bottom < bottom:
            self._receive()
        while self._top + len(self._held[0]) <= top:
            self._top += len(self._held.popleft())
        parts, start = [], self._top
        for part in self._held:
            if start < bottom:
                parts.append(part[max(0, top - start) : bottom - start])
            start += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def finish(self) -> None:
        """CaeError where more rows come."""
        if any(len(band) for band in self._arriving):
            raise CaeError(f"more rows than the picture's height of {self._header.height}")

    def _receive(self) -> None:
        band = next(self._arriving, None)
        width, height, channels = self._header.width, self._header.height, self._header.channels
        if band is None:
            raise CaeError(f"only {self._bottom} of the picture's {height} rows")
        if band.dtype != np.uint8 or band.shape[1:] != (width, channels):
            raise CaeError(f"rows of {band.dtype} {band.shape} for a picture of uint8 (rows, {width}, {channels})")
        if self._bottom + len(band) > height:
            raise CaeError(f"more rows than the picture's height of {height}")
        self._held.append(band)
        self._bottom += len(band)
