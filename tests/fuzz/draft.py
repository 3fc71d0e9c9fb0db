"""A `.cae` file taken apart without any check, so that its parts can be changed, and put together with sound CRCs."""

from __future__ import annotations

import dataclasses
import struct
import zlib

from codec.format import container
from codec.format.geometry import Rect
from codec.format.header import SECTIONS_MAX, TILE_UNIT, Header, Kind, Plane
from codec.format.payload import WORD, length_min, lossless_length
from codec.format.sections import split_length
from codec.options import DEPTHS

FIELDS = ("magic", "version", "channels", "quality", "flags", "width", "height", "tile", "count", "model")
"""Of the header, in the file's order."""
PARTS_MAX = 24
"""Entries of the index that are taken apart, or made to agree with the header."""

_HEADER = struct.Struct("<4sBBBBIIHH8s")
_SECTION = struct.Struct("<4sI")
_ENTRY = struct.Struct("<QIB")
_CRC = struct.Struct("<I")


@dataclasses.dataclass
class Section:
    """A metadata section; the length that it claims may be a lie."""

    name: bytes
    claimed: int
    data: bytes


@dataclasses.dataclass
class Part:
    """An entry of the index and a payload; offset and length are what the entry says."""

    offset: int
    length: int
    kind: int
    data: bytes


@dataclasses.dataclass
class Draft:
    """A file taken apart into fields that may be changed; `rest` follows the last payload."""

    header: dict[str, int | bytes]
    sections: list[Section]
    parts: list[Part]
    rest: bytes

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The parts of each tile."""
        return tuple(Plane) if self.header["channels"] in (2, 4) else (Plane.COLOUR,)

    @property
    def part_count(self) -> int:
        """Parts that the header asks for."""
        side = max(1, self.header["tile"] * TILE_UNIT)
        return -(-self.header["width"] // side) * -(-self.header["height"] // side) * len(self.planes)

    def sound_header(self) -> Header | None:
        """The header as the codec has it; None where it breaks a rule."""
        fields = {name: self.header[name] for name in ("width", "height", "channels", "quality")}
        try:
            tile, depth = self.header["tile"] * TILE_UNIT, DEPTHS[0] + self.header["flags"]
            return Header(**fields, tile=tile, model_id=self.header["model"], depth=depth)
        except container.CaeError:
            return None

    def settle(self) -> None:
        """Makes counts, kinds, lengths and offsets agree with each other, as far as the header is sound."""
        self.header["count"] = min(len(self.sections), 2**16 - 1)
        for section in self.sections:
            section.claimed = len(section.data)
        header = self.sound_header()
        if header is not None and self.part_count <= PARTS_MAX:
            model = self.parts or [Part(0, 0, 0, b"")]
            self.parts += [
                dataclasses.replace(model[number % len(model)]) for number in range(len(self.parts), self.part_count)
            ]
            del self.parts[self.part_count :]
            for number, part in enumerate(self.parts):
                tile, plane = divmod(number, len(self.planes))
                kinds = header.kinds(self.planes[plane])
                if part.kind not in list(kinds):
                    part.kind = int(kinds[0])
                part.data = _of_a_sound_length(part, header.place(tile))
        offset = self._payloads_start()
        for part in self.parts:
            part.offset, part.length = offset, len(part.data)
            offset += len(part.data)
        self.rest = b""

    def _payloads_start(self) -> int:
        sections = sum(_SECTION.size + _CRC.size + len(section.data) for section in self.sections)
        return _HEADER.size + _CRC.size + sections + len(self.parts) * (_ENTRY.size + _CRC.size) + _CRC.size


def _of_a_sound_length(part: Part, place: Rect) -> bytes:
    """A payload's bytes, as few more or less as its kind and place ask for."""
    data = part.data.ljust(length_min(Kind(part.kind), place), b"\1")
    if part.kind == Kind.TRANSFORM:
        return data[: len(data) // WORD * WORD]
    if part.kind == Kind.MIXED and (rest := len(data) - lossless_length(data)) > 0:
        return data[: len(data) - rest % WORD]
    return data


def dissect(data: bytes) -> Draft:
    """Any bytes as a draft: what is missing is empty, and nothing is refused."""
    header = dict(zip(FIELDS, _HEADER.unpack_from(data.ljust(_HEADER.size, b"\0")), strict=True))
    draft = Draft(header, [], [], b"")
    at = _HEADER.size + _CRC.size
    for _ in range(min(header["count"], SECTIONS_MAX + 1)):
        if at + _SECTION.size + _CRC.size > len(data):
            break
        name, claimed = _SECTION.unpack_from(data, at)
        at += _SECTION.size + _CRC.size
        length = split_length(claimed)[1]
        draft.sections.append(Section(name, claimed, data[at : at + length]))
        at += length
    for _ in range(min(draft.part_count, PARTS_MAX)):
        if at + _ENTRY.size + _CRC.size > len(data):
            break
        draft.parts.append(Part(*_ENTRY.unpack_from(data, at), b""))
        at += _ENTRY.size + _CRC.size
    at += _CRC.size
    for part in draft.parts:
        part.data = data[at : at + part.length]
        at += part.length
    draft.rest = data[at:]
    return draft


def assemble(draft: Draft) -> bytes:
    """A draft's bytes, lies and all, with sound CRCs."""
    fixed = _HEADER.pack(*draft.header.values())
    pieces = [fixed, _CRC.pack(zlib.crc32(fixed))]
    for section in draft.sections:
        start = _SECTION.pack(section.name, section.claimed)
        pieces += [start, _CRC.pack(zlib.crc32(section.data, zlib.crc32(start))), section.data]
    entries = b"".join(
        _ENTRY.pack(part.offset, part.length, part.kind) + _CRC.pack(zlib.crc32(part.data)) for part in draft.parts
    )
    pieces += [entries, _CRC.pack(zlib.crc32(entries)), *(part.data for part in draft.parts), draft.rest]
    return b"".join(pieces)
