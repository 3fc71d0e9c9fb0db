"""Checks of each file that the fuzzer makes: only the promised errors arise, and what must agree does."""

from __future__ import annotations

import functools
import io
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import codec
import codec.pillow  # its plugin
from codec import CaeError
from codec.format import container
from codec.format.container import Container
from codec.format.geometry import Rect
from codec.format.header import TILE_UNIT, Header
from codec.format.info import damaged_parts
from codec.format.payload import Payload
from codec.format.sources import MemorySource, Seekable
from codec.images import files
from codec.images.metadata import orientation, select_metadata
from codec.images.samples import converted
from codec.options import OnError

TINY = Path(__file__).parents[1] / "data" / "tiny.safetensors"
PIXELS_MAX = 2**14
"""Larger pictures are left alone: they take time, and what they are made of is in small ones as well."""
SUFFIXES = (".png", ".tif", ".jpg", ".webp", ".avif", ".jp2", ".bmp")


class _Trickling(io.BytesIO):
    """Gives a few bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 97) if size is not None and size >= 0 else 97)


def _said(call: Callable[[], object]) -> object:
    """Returns the result of a call, or the text of its CaeError."""
    try:
        return call()
    except CaeError as error:
        assert str(error) and "\n" not in str(error)
        return str(error)


def check_container(data: bytes) -> bool:
    """Parses a file, checks its sums, and does one of four other things with it in turns; whether it is sound."""
    parsed = _said(lambda: container.read(data))
    checked = _said(lambda: container.check(data))
    assert checked == parsed if isinstance(parsed, str) else checked is None or isinstance(checked, str)
    match zlib.crc32(data) % 4:
        case 0:
            _check_from_file(data, parsed)
        case 1:
            _check_plugin(data, _said(lambda: container.read_beginning(data)), checked)
        case 2:
            _check_facts(data, parsed, checked)
        case _ if isinstance(parsed, Container):
            _check_payloads(data, parsed, checked)
    return checked is None


def _check_payloads(data: bytes, parsed: Container, checked: object) -> None:
    """They fill the file, and there is one way alone to write it, but for sections that the reader skips."""
    payloads, end = [], None
    for tile in range(parsed.header.tile_count):
        for plane in parsed.header.planes:
            entry = parsed.index[len(payloads)]
            assert end in (None, entry.offset) and entry.kind in parsed.header.kinds(plane)
            end = entry.offset + entry.length
            payload = _said(lambda tile=tile, plane=plane: container.read_payload(data, parsed, tile, plane))
            assert payload == Payload(entry.kind, data[entry.offset : end]) or isinstance(checked, str)
            payloads.append(payload)
    assert end == len(data) and len(payloads) == len(parsed.index)
    if checked is None:
        again = container.write(parsed.header, parsed.metadata, payloads)
        skipped = int.from_bytes(data[18:20], "little") - len(parsed.metadata)
        assert (again == data) if not skipped else len(again) < len(data)


def _check_facts(data: bytes, parsed: object, checked: object) -> None:
    facts = _said(lambda: codec.info(data))
    if not isinstance(parsed, Container):
        assert facts == parsed
        return
    assert (facts.width, facts.height, facts.mode) == (parsed.header.width, parsed.header.height, parsed.header.mode)
    assert facts.bytes == sum(facts.parts.values()) == len(data) and min(facts.parts.values()) >= 0
    assert sum(facts.kinds.values()) == facts.tiles == parsed.header.tile_count
    assert bool(list(damaged_parts(MemorySource(data)))) == isinstance(checked, str)


def _check_from_file(data: bytes, parsed: object) -> None:
    """By small pieces it is what it is at once."""
    by_pieces = _said(lambda: container.read(Seekable(_Trickling(data))))
    beginning = _said(lambda: container.read_beginning(data))
    if isinstance(parsed, Container):
        assert isinstance(by_pieces, Container) and list(by_pieces.index) == list(parsed.index)
        assert beginning == (parsed.header, parsed.metadata) == (by_pieces.header, by_pieces.metadata)
    else:
        assert by_pieces == parsed and (beginning == parsed or isinstance(beginning, tuple))


def _check_plugin(data: bytes, beginning: object, checked: object) -> None:
    try:
        with Image.open(io.BytesIO(data), formats=("CAE",)) as image:
            assert isinstance(beginning, tuple) and image.size == (beginning[0].width, beginning[0].height)
            image.verify()
        assert checked is None
    except OSError as error:
        assert not isinstance(beginning, tuple) or str(error) == checked
    except Image.DecompressionBombError:
        assert isinstance(beginning, tuple)


@functools.cache
def tiny_codec() -> codec.Codec:
    """With small weights and one thread."""
    return codec.Codec(weights=TINY, device="cpu", threads=1, pixels_max=PIXELS_MAX)


def is_small(header: Header) -> bool:
    """True if a picture is small enough for the decoder to be tried on."""
    sides = (-(-side // TILE_UNIT) * TILE_UNIT for side in (header.width, header.height))
    # deep ones count twice
    return np.prod([float(side) for side in sides]) * (1 + header.is_high_bit_depth) <= PIXELS_MAX


def check_decoder(data: bytes) -> bool | None:
    """Decodes a file whole, and in turns with damage filled in, or in part; whether it is sound, None for large pictures."""
    header = _said(lambda: container.read_beginning(data)[0])
    if isinstance(header, Header) and not is_small(header):
        return None
    tiny, turn = tiny_codec(), zlib.crc32(data) % 4
    whole = _said(lambda: tiny.decode_image(data))
    if isinstance(whole, str):
        if turn == 0:
            _check_filled(data, header, whole)
        return False
    mode = "I;16" if header.is_high_bit_depth and header.mode == "L" else header.mode
    assert (whole.width, whole.height, whole.mode) == (header.width, header.height, mode)
    if turn == 0:
        _check_metadata(whole, data)
    if turn == 1:
        _check_region(data, header, whole, "raise")
    return True


def _check_region(data: bytes, header: Header, whole: Image.Image, on_error: OnError) -> None:
    """A region is that crop of the whole, at a reduced size as well, whatever fills in for what is damaged."""
    chosen = zlib.crc32(data)
    left, top, factor = chosen % header.width, chosen // 7 % header.height, (1, 2, 4, 8)[chosen // 11 % 4]
    region = (left, top, (header.width - left + 1) // 2, (header.height - top + 1) // 2)
    with tiny_codec().open(_Trickling(data), on_error=on_error) as picture:
        part, reduced, part_reduced = picture.read(region), picture.read(None, 1 / factor), picture.read(region, 1 / factor)
    place = Rect.of_region(*region)
    shown = part if whole.mode == "I;16" else converted(part, header.depth, 8)
    assert np.array_equal(shown, np.asarray(whole)[place.slices])
    assert part.dtype == reduced.dtype == header.dtype and max(part.max(), reduced.max()) <= header.largest
    assert reduced.shape[:2] == (-(-header.height // factor), -(-header.width // factor))
    assert np.array_equal(part_reduced, reduced[place.outward(factor).slices])


def _check_filled(data: bytes, header: object, said: str) -> None:
    """Damage is told in one warning, and all else is refused as ever."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        filled = _said(lambda: tiny_codec().decode_image(data, on_error="fill"))
    if isinstance(filled, str):
        # of a file that is cut off, the rest may be wrong in other ways
        assert (filled == said or "cut off" in said) and not warned
    else:
        assert len(warned) == 1 and "filled in" in str(warned[0].message)
        _check_metadata(filled, data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            _check_region(data, header, filled, "fill")


def _check_metadata(image: Image.Image, data: bytes) -> None:
    """Metadata may be nonsense: what a format takes is written, the rest is named in warnings."""
    names = {"icc_profile": "iccp", "exif": "exif", "xmp": "xmp "}
    metadata = {names[key]: value for key, value in image.info.items()}
    if not metadata:
        return
    turned = orientation(metadata)
    assert turned in range(1, 9) and orientation(select_metadata(metadata, ())) == turned
    suffix = SUFFIXES[zlib.crc32(data) % len(SUFFIXES)]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert _said(lambda: files.small_file(Path(f"x{suffix}"), image.mode.replace("I;16", "L"), metadata))
