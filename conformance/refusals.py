"""The suite's files that must be refused: damaged ones, and forged ones with sound checksums."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from tests.fuzz.draft import Draft, Section, assemble, dissect


def _webp(height: int, width: int, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, "WEBP", **options)
    return file.getvalue()


def damaged_files(data: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Names, bytes, and why they must be refused; `data` is a sound file."""
    yield "empty", b"", "an empty file"
    yield "magic", b"\x88" + data[1:], "magic bytes"
    yield "version-2", data[:4] + b"\2" + data[5:], "version 2"
    yield "header-crc", data[:6] + b"\7" + data[7:], "the header's CRC does not match"
    index = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    yield "index-crc", index, "the index' CRC does not match"
    yield "payload-crc", data[:-1] + bytes([data[-1] ^ 1]), "a payload's CRC does not match"
    yield "cut-off", data[:-5], "the file is cut off"
    yield "cut-off-in-header", data[:31], "the file is cut off in its header"
    yield "excess", data + b"1234", "bytes follow the last tile"


def _part(number: int, change: Callable[[bytes], bytes]) -> Callable[[Draft], None]:
    """Changes the payload of a part and settles all offsets, but no rule about its content."""

    def forge(draft: Draft) -> None:
        draft.parts[number].data = change(draft.parts[number].data)
        offset = draft.parts[0].offset
        for part in draft.parts:
            part.offset, part.length = offset, len(part.data)
            offset += part.length

    return forge


def _section(name: bytes, data: bytes, storage: int = 0, times: int = 1) -> Callable[[Draft], None]:
    """Adds a section, which claims a storage."""

    def forge(draft: Draft) -> None:
        draft.sections += [Section(name, 0, data) for _ in range(times)]
        draft.settle()
        draft.sections[-1].claimed |= storage << 30

    return forge


def _mixed(transform: bytes, lossless: bytes, claimed: int) -> Callable[[Draft], None]:
    """Makes the first part a mixed one."""

    def forge(draft: Draft) -> None:
        draft.parts[0].kind = 3
        _part(0, lambda _: struct.pack("<I", claimed) + lossless + transform)(draft)

    return forge


FORGED: dict[str, tuple[str, Callable[[Draft], None]]] = {
    "colour-mode": ("colour mode 5", lambda draft: draft.header.update(channels=5)),
    "quality-0": ("quality 0", lambda draft: draft.header.update(quality=0)),
    "depth-17": ("17 bits a sample", lambda draft: draft.header.update(flags=9)),
    "flags": ("unknown flags", lambda draft: draft.header.update(flags=0x10)),
    "no-width": ("a width of 0", lambda draft: draft.header.update(width=0)),
    "giant": ("an index that is not there", lambda draft: draft.header.update(width=2**31 - 1, height=2**31 - 1)),
    "tile-size": ("tiles of 33 x 64 pixels", lambda draft: draft.header.update(tile=33)),
    "model": ("an unknown model", lambda draft: draft.header.update(model=b"modelid8")),
    "no-model": ("a transform-coded tile without a model", lambda draft: draft.header.update(model=bytes(8))),
    "alpha-kind": ("transform-coded alpha", lambda draft: setattr(draft.parts[1], "kind", 1)),
    "kind-4": ("an unknown kind of tile", lambda draft: setattr(draft.parts[0], "kind", 4)),
    "offsets": ("payloads that overlap", lambda draft: setattr(draft.parts[1], "offset", draft.parts[0].offset)),
    "critical-section": ("an unknown critical section", _section(b"Soon", b"")),
    "section-twice": ("a section that occurs twice", _section(b"exif", b"II*\0", times=2)),
    "section-name": ("a section's name that begins with no letter", _section(b"1xif", b"II*\0")),
    "storage-3": ("an unknown storage", _section(b"exif", b"II*\0", 3)),
    "storage-name": ("an unknown named profile", _section(b"iccp", b"P3  ", 2)),
    "zlib-bomb": ("a section that unpacks to too much", _section(b"exif", zlib.compress(bytes(2**24 + 1)), 1)),
    "zlib-end": ("data behind a zlib stream", _section(b"exif", zlib.compress(b"II*\0") + b"1", 1)),
    "zero-word": ("a last word that is 0", _part(0, lambda data: data + bytes(4))),
    "no-words": ("a length that is no multiple of 4", _part(0, lambda data: data + b"1")),
    "too-short": ("fewer bytes than hyper-latent positions", _part(0, lambda _: b"")),
    "symbols-left": ("words that no symbol needs", _part(0, lambda data: bytes(range(1, 9)) + data)),
    "webp-size": ("a WebP file of another size", _part(1, lambda _: _webp(9, 9, lossless=True))),
    "webp-lossy": ("a lossy WebP file", _part(1, lambda _: _webp(90, 77, lossless=False))),
    "webp-cut-off": ("a WebP file that is cut off", _part(1, lambda data: data[:-2])),
    "mixed-empty": ("a lossless part of no bytes", _mixed(b"12345678" * 9, b"", 0)),
    "mixed-long": ("a lossless part that is longer than its payload", _mixed(b"12345678" * 9, b"", 2**31)),
}
"""Why each forged file must be refused, and how it is made of a sound one of 77 x 90 pixels with alpha, in one tile."""


def forged_files(data: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Names, bytes, and why they must be refused; `data` is a sound file of 77 x 90 pixels with alpha, in one tile."""
    for name, (reason, forge) in FORGED.items():
        draft = dissect(data)
        forge(draft)
        yield name, assemble(draft), reason
