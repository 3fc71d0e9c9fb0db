"""Changes to `.cae` files that keep their structure: first what they hold, then lies about it, with sound CRCs over all."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from codec.format.header import MAGIC, NO_MODEL, VERSION, Kind
from codec.metadata import SECTION_NAMES

from .draft import Draft, Part, Section, assemble, dissect

Change = Callable[[Draft, "Mutator"], None]
NAMES = (b"iccp", b"exif", b"xmp ", b"soon", b"Soon", b"EXIF", b"\xffxif", b"1234", b"\0\0\0\0")
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 64, 65, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
OFFSETS = (*NUMBERS, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
ALL_SIDES = (0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 2048, 2049, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
ALL_TILES = (0, 1, 1, 1, 2, 31, 32, 33, 2**16 - 1)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, put in or left out."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0:
                out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 12)))
            case 1:
                del out[at : at + rng.choice((1, 2, 4, 12))]
            case 2:
                out[at : at + 4] = rng.choice(NUMBERS).to_bytes(4, rng.choice(("little", "big")))
            case 3:
                out[at : at + 1] = rng.randbytes(1)
            case _ if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


@dataclasses.dataclass
class Mutator:
    """One source of changes.

    Args:
        bytes_of: changes bytes without any structure.
        models: ids of which some may be put in.
        payload: makes a payload for a part (by its number) that a decoder will take; None for payloads of noise alone.
        lies: share of files in which something is said that is not so, or bytes are changed whatever they mean.
    """

    rng: random.Random
    models: Sequence[bytes] = (NO_MODEL, b"modelid8")
    sides: Sequence[int] = ALL_SIDES
    tiles: Sequence[int] = ALL_TILES
    bytes_of: Callable[[bytes, random.Random], bytes] = flipped
    payload: Callable[[Draft, int, random.Random], bytes] | None = None
    lies: float = 0.5

    def mutate(self, data: bytes, size_max: int) -> bytes:
        """Another file, of at most `size_max` bytes."""
        rng = self.rng
        draft = dissect(data)
        if self.payload is not None and rng.random() < 0.4:
            _heal(draft, self)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            rng.choice(CONTENT)(draft, self)
        draft.settle()
        lies = rng.random() < self.lies
        if lies and rng.random() < 0.8:
            for _ in range(rng.choice((1, 1, 2))):
                rng.choice(LIES)(draft, self)
        out = assemble(draft)
        if lies and rng.random() < 0.3:
            out = self.bytes_of(out, rng)
        return out[:size_max]


def _heal(draft: Draft, mutator: Mutator) -> None:
    """Makes a file sound again, since changes of such that are not rarely are."""
    draft.header |= {"magic": MAGIC, "version": VERSION}
    if draft.header["model"] not in mutator.models:
        draft.header["model"] = mutator.rng.choice(mutator.models)
    if draft.sound_header() is None:
        draft.header |= {"flags": 0, "channels": 3, "quality": 50, "tile": 1, "width": 20, "height": 70}
    draft.sections = [section for section in draft.sections if section.name.decode("latin-1") in SECTION_NAMES][:1]
    draft.settle()
    for part in list(draft.parts):
        _sound_payload(draft, mutator, part)


def _size(draft: Draft, mutator: Mutator) -> None:
    rng, side = mutator.rng, mutator.rng.choice(("width", "height"))
    near = (draft.header[side] + rng.choice((-1, 1, 16, 64))) % 2**32
    draft.header[side] = near if rng.random() < 0.3 and near <= max(mutator.sides) else rng.choice(mutator.sides)


def _depth(draft: Draft, mutator: Mutator) -> None:
    draft.header["flags"] = mutator.rng.choice((0, 1, 4, 8, 9, 15, 16))


def _tile(draft: Draft, mutator: Mutator) -> None:
    draft.header["tile"] = mutator.rng.choice(mutator.tiles)


def _mode(draft: Draft, mutator: Mutator) -> None:
    draft.header["channels"] = mutator.rng.choice((0, 1, 2, 3, 4, 1, 2, 3, 4, 5))


def _quality(draft: Draft, mutator: Mutator) -> None:
    draft.header["quality"] = mutator.rng.choice((0, 1, 2, 50, 99, 100, 101, 255, mutator.rng.randrange(1, 101)))


def _rare_field(draft: Draft, mutator: Mutator) -> None:
    name = mutator.rng.choice(("magic", "version", "flags", "model"))
    value = draft.header[name]
    if isinstance(value, bytes):
        at = mutator.rng.randrange(len(value))
        draft.header[name] = value[:at] + mutator.rng.randbytes(1) + value[at + 1 :]
    else:
        draft.header[name] = mutator.rng.randrange(256)


def _model(draft: Draft, mutator: Mutator) -> None:
    draft.header["model"] = mutator.rng.choice(mutator.models)
    for part in list(draft.parts):
        _sound_payload(draft, mutator, part)


def _kind(draft: Draft, mutator: Mutator) -> None:
    """Another kind, and a payload for it if that can be had."""
    if draft.parts:
        part = mutator.rng.choice(draft.parts)
        part.kind = mutator.rng.choice(list(Kind))
        if mutator.rng.random() < 0.7:
            _sound_payload(draft, mutator, part)


def _add_section(draft: Draft, mutator: Mutator) -> None:
    data = mutator.rng.choice([section.data for section in draft.sections] or [mutator.rng.randbytes(9)])
    name = mutator.rng.choice(NAMES) if mutator.rng.random() < 0.8 else mutator.rng.randbytes(4)
    repeated = mutator.rng.choice((1, 1, 1, 2, 64, 65)) if mutator.rng.random() < 0.1 else 1
    for number in range(repeated):
        draft.sections.append(Section(name if number == 0 else b"s%03d" % number, len(data), data))


def _drop_section(draft: Draft, mutator: Mutator) -> None:
    if draft.sections:
        del draft.sections[mutator.rng.randrange(len(draft.sections))]


def _change_section(draft: Draft, mutator: Mutator) -> None:
    if draft.sections:
        section = mutator.rng.choice(draft.sections)
        section.data = mutator.bytes_of(section.data, mutator.rng)


def _rename_section(draft: Draft, mutator: Mutator) -> None:
    if draft.sections:
        mutator.rng.choice(draft.sections).name = mutator.rng.choice(NAMES)


def _change_payload(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        part = mutator.rng.choice(draft.parts)
        part.data = mutator.bytes_of(part.data, mutator.rng)


def _noise_payload(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        part = mutator.rng.choice(draft.parts)
        noise = mutator.rng.randbytes(mutator.rng.choice((0, 1, 4, 8, 40, len(part.data))))
        part.data = mutator.rng.choice((noise, bytes(len(noise)), bytes(len(noise)) + part.data, part.data + noise))


def _sound_payload(draft: Draft, mutator: Mutator, part: Part | None = None) -> None:
    if mutator.payload is not None and draft.sound_header() is not None:
        draft.settle()
        if draft.parts:
            numbers = [number for number, other in enumerate(draft.parts) if other is part]
            number = mutator.rng.choice(numbers or range(len(draft.parts)))
            draft.parts[number].data = mutator.payload(draft, number, mutator.rng)


def _change_length_within(draft: Draft, mutator: Mutator) -> None:
    """Moves the place where a mixed payload's parts meet."""
    if mixed := [part for part in draft.parts if part.kind == Kind.MIXED]:
        part = mutator.rng.choice(mixed)
        claimed = int.from_bytes(part.data[:4], "little") + mutator.rng.choice((-4, -1, 1, 4))
        claimed = mutator.rng.choice((claimed, len(part.data), len(part.data) - 4, mutator.rng.choice(NUMBERS))) % 2**32
        part.data = claimed.to_bytes(4, "little") + part.data[4:]


def _swap_payloads(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        one, other = (mutator.rng.choice(draft.parts) for _ in range(2))
        one.data, other.data = other.data, one.data


CONTENT: tuple[Change, ...] = (
    _size, _size, _tile, _depth, _mode, _quality, _rare_field, _add_section, _drop_section, _change_section, _change_section,
    _rename_section, _change_payload, _change_payload, _noise_payload, _sound_payload, _sound_payload, _swap_payloads,
    _model, _kind, _kind, _change_length_within,
)  # fmt: skip


def _lie_of_offset(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        part = mutator.rng.choice(draft.parts)
        near = part.offset + mutator.rng.choice((-17, -4, -1, 1, 4, 17))
        part.offset = mutator.rng.choice((near, mutator.rng.choice(draft.parts).offset, mutator.rng.choice(OFFSETS))) % 2**64


def _reverse_offsets(draft: Draft, mutator: Mutator) -> None:
    offsets = [part.offset for part in draft.parts][::-1]
    for part, offset in zip(draft.parts, offsets, strict=True):
        part.offset = offset


def _lie_of_length(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        part = mutator.rng.choice(draft.parts)
        near = part.length + mutator.rng.choice((-4, -1, 1, 4))
        part.length = mutator.rng.choice((near, mutator.rng.choice(NUMBERS))) % 2**32


def _lie_of_kind(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        mutator.rng.choice(draft.parts).kind = mutator.rng.choice((0, 1, 2, 3, 4, 9, 255))


def _lie_of_section(draft: Draft, mutator: Mutator) -> None:
    if draft.sections:
        section = mutator.rng.choice(draft.sections)
        section.claimed = mutator.rng.choice((section.claimed + 1, section.claimed - 1, mutator.rng.choice(NUMBERS))) % 2**32


def _lie_of_count(draft: Draft, mutator: Mutator) -> None:
    draft.header["count"] = mutator.rng.choice((0, 1, draft.header["count"] + 1, 63, 64, 65, 2**16 - 1)) % 2**16


def _entries(draft: Draft, mutator: Mutator) -> None:
    if draft.parts:
        at = mutator.rng.randrange(len(draft.parts))
        draft.parts[at : at + 1] = [dataclasses.replace(draft.parts[at])] * mutator.rng.choice((0, 2))


def _lie_of_size(draft: Draft, mutator: Mutator) -> None:
    """The header says something else than what the index and the payloads were made for."""
    mutator.rng.choice((_size, _tile, _depth, _mode))(draft, mutator)


def _end(draft: Draft, mutator: Mutator) -> None:
    if draft.parts and mutator.rng.random() < 0.5:
        last: Part = draft.parts[-1]
        last.data = last.data[: -mutator.rng.choice((1, 4, len(last.data) or 1))]
    else:
        draft.rest = mutator.rng.randbytes(mutator.rng.choice((1, 4, 100)))


LIES: tuple[Change, ...] = (
    _lie_of_offset, _reverse_offsets, _lie_of_length, _lie_of_kind, _lie_of_section, _lie_of_count, _entries,
    _lie_of_size, _end,
)  # fmt: skip
