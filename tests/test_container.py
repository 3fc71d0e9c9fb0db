"""The container: round trips, every rule of FORMAT.md, and no other error than CaeError whatever the bytes."""

import contextlib
import itertools
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import CaeError, info
from codec.format import container
from codec.format.header import Header, Kind
from codec.format.payload import Payload, length_min
from codec.metadata import SECTION_NAMES

HEADER = Header(200, 100, 3, 50, 64, b"modelid8")
FILE = container.write(
    HEADER, {"exif": b"II*\0", "iccp": b"profile"}, [Payload(Kind.TRANSFORM, bytes(4 * n)) for n in range(1, 9)]
)


@given(
    st.builds(
        Header,
        width=st.integers(1, 500),
        height=st.integers(1, 500),
        channels=st.integers(1, 4),
        quality=st.integers(1, 100),
        tile=st.integers(1, 32).map(lambda units: 64 * units),
        model_id=st.binary(min_size=8, max_size=8),
    ),
    st.dictionaries(st.sampled_from(SECTION_NAMES), st.binary(max_size=50)),
    st.data(),
)
def test_round_trip(header, metadata, data):
    parts = list(itertools.product(range(header.tile_count), header.planes))
    payloads = []
    for tile, plane in parts:
        content = data.draw(st.binary(min_size=1, max_size=5)) * 4
        kind = header.kinds(plane)[0]
        payloads.append(Payload(kind, content.ljust(length_min(kind, header.place(tile)), b"-")))
    file = container.write(header, metadata, payloads)
    parsed = container.read(file)
    step = len(header.planes)
    assert parsed.index.total(step) == sum(len(payload.data) for payload in payloads[::step])
    assert parsed.header == header
    assert parsed.metadata == metadata
    assert [container.read_payload(file, parsed, *part) for part in parts] == payloads


def test_bytes_are_as_the_specification_says():
    parts = [Payload(Kind.TRANSFORM, b"wordword"), Payload(Kind.LOSSLESS, b"alpha")]
    file = container.write(Header(258, 3, 2, 7, 1024, bytes(range(8))), {}, parts)
    assert file[:28].hex() == "89434145010207000201000003000000100000000001020304050607"
    assert struct.unpack_from("<I", file, 28)[0] == zlib.crc32(file[:28])
    assert struct.unpack_from("<QIBI", file, 32) == (70, 8, 1, zlib.crc32(b"wordword"))
    assert struct.unpack_from("<QIBI", file, 49) == (78, 5, 2, zlib.crc32(b"alpha"))
    assert struct.unpack_from("<I", file, 66)[0] == zlib.crc32(file[32:66])
    assert file[70:] == b"wordwordalpha"


def test_cut_off_anywhere():
    for length in range(len(FILE)):
        with pytest.raises(CaeError):
            container.read(FILE[:length])


def test_every_flipped_bit_is_found():
    for bit in range(8 * len(FILE)):
        damaged = bytearray(FILE)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CaeError):
            parsed = container.read(damaged)
            for tile in range(HEADER.tile_count):
                container.read_payload(damaged, parsed, tile)


def test_every_one_byte_change_of_the_header():
    """It is found by the CRC; with a right CRC, it is refused or has another meaning, and nothing else happens."""
    right = container.read(FILE).header
    for position, value in itertools.product(range(32), range(256)):
        changed = FILE[:position] + bytes([value]) + FILE[position + 1 :]
        if value != FILE[position]:
            with pytest.raises(CaeError):
                container.read(changed)
        if value != FILE[position] and position < 28:
            with contextlib.suppress(CaeError):
                assert container.read(changed[:28] + struct.pack("<I", zlib.crc32(changed[:28])) + FILE[32:]).header != right


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data):
    for file in (data, b"\x89CAE\x01" + data):
        with pytest.raises(CaeError):
            container.read(file)


def forged(**changes) -> bytes:
    """FILE with header fields replaced and the CRC made right."""
    names = ("magic", "version", "channels", "quality", "flags", "width", "height", "tile", "count", "model")
    values = dict(zip(names, struct.unpack_from("<4sBBBBIIHH8s", FILE), strict=True)) | changes
    fixed = struct.pack("<4sBBBBIIHH8s", *values.values())
    return fixed + struct.pack("<I", zlib.crc32(fixed)) + FILE[32:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magic": b"\x89PNG"}, "not a .cae file"),
        ({"version": 2}, "version 2 is unknown"),
        ({"channels": 5}, "colour mode 5"),
        ({"quality": 0}, "quality 0"),
        ({"quality": 101}, "quality 101"),
        ({"flags": 16}, "flags"),
        ({"flags": 9}, "depth 17"),
        ({"width": 0}, "size 0 x 100"),
        ({"width": 2**31}, "size"),
        ({"width": 2**31 - 1, "height": 2**31 - 1}, "cut off in its tile index"),
        ({"tile": 0}, "tile size"),
        ({"tile": 33}, "tile size"),
        ({"count": 65}, "65 metadata sections"),
    ],
)
def test_refused_headers(changes, message):
    with pytest.raises(CaeError, match=message):
        container.read(forged(**changes))


def with_section(name: bytes, data: bytes = b"data", storage: int = 0) -> bytes:
    start = struct.pack("<4sI", name, storage << 30 | len(data))
    section = start + struct.pack("<I", zlib.crc32(start + data)) + data
    empty = one_tile([Payload(Kind.TRANSFORM, b"word")])
    fixed = empty[:18] + struct.pack("<H", 1) + empty[20:28]
    entries = struct.pack("<QIBI", 32 + len(section) + 21, 4, 1, zlib.crc32(b"word"))
    return fixed + struct.pack("<I", zlib.crc32(fixed)) + section + entries + struct.pack("<I", zlib.crc32(entries)) + b"word"


def one_tile(payloads: list[Payload], size: tuple[int, int] = (1, 1)) -> bytes:
    return container.write(Header(*size, len(payloads), 1, 2048, b"model id"), {}, payloads)


def test_unknown_sections():
    assert container.read(with_section(b"soon")).metadata == {}
    with pytest.raises(CaeError, match="critical section 'Soon'"):
        container.read(with_section(b"Soon"))
    with pytest.raises(CaeError, match="bad name"):
        container.read(with_section(b"\xff000"))


def test_metadata_are_stored_in_the_shortest_way():
    """Compressed, or by name, where that is smaller; and they come back byte for byte."""
    srgb = Path(container.__file__).with_name("srgb.icc").read_bytes()
    contents = {"iccp": srgb, "exif": b"II*\0", "xmp ": b"<x>" + b" " * 3000 + b"</x>"}
    file = container.read(container.write(Header(1, 1, 3, 1, 64, b"model id"), contents, [Payload(Kind.TRANSFORM, b"word")]))
    assert file.metadata == contents
    assert file.sizes["iccp"] == 4 and file.sizes["exif"] == 4 and file.sizes["xmp "] < 50
    other = srgb[:-1] + b"?"
    file = container.write(Header(1, 1, 3, 1, 64, b"model id"), {"iccp": other}, [Payload(Kind.TRANSFORM, b"word")])
    assert container.read(file).metadata == {"iccp": other} and info(file).metadata["iccp"] < len(other)
    assert sum(info(file).parts.values()) == len(file)


@pytest.mark.parametrize(
    ("storage", "data", "message"),
    [
        (1, b"text", "'exif' does not unpack"),
        (1, zlib.compress(b"text")[:-1], "'exif' does not unpack: its data end too early or too late"),
        (1, zlib.compress(b"text") + b"x", "'exif' does not unpack: its data end too early or too late"),
        (1, zlib.compress(bytes(2**24 + 1)), "'exif' unpacks to more than 16777216 bytes"),
        (2, b"Adobe", "'exif' names the unknown content b'Adobe'"),
        (2, b"sRGB", "'exif' names the unknown content b'sRGB'"),
        (3, b"text", "'exif' is stored in the unknown way 3"),
    ],
)
def test_refused_storage(storage, data, message):
    with pytest.raises(CaeError, match=message):
        container.read(with_section(b"exif", data, storage))
    assert container.read(with_section(b"soon", data, storage)).metadata == {}


@pytest.mark.parametrize(
    ("payloads", "size", "message"),
    [
        ([Payload(Kind.TRANSFORM, b"")], (1, 1), "tile 0 has 0 bytes"),
        ([Payload(Kind.TRANSFORM, b"seven b")], (1, 1), "no multiple of 4"),
        ([Payload(Kind.TRANSFORM, bytes(1020))], (2048, 2048), "tile 0 has 1020 bytes"),
        ([Payload(Kind.LOSSLESS, b"")], (1, 1), "tile 0 has 0 bytes"),
        ([Payload(Kind.MIXED, bytes(8))], (1, 1), "tile 0 has 8 bytes"),
        ([Payload(Kind.TRANSFORM, b"word"), Payload(Kind.LOSSLESS, b"")], (1, 1), "the alpha of tile 0 has 0 bytes"),
        ([Payload(Kind.TRANSFORM, b"word"), Payload(Kind.TRANSFORM, b"word")], (1, 1), "the alpha of tile 0 is of the kind 1"),
    ],
)
def test_refused_entries(payloads, size, message):
    with pytest.raises(CaeError, match=message):
        container.read(one_tile(payloads, size))


def test_unknown_kinds_are_refused():
    file = bytearray(one_tile([Payload(Kind.TRANSFORM, b"word")]))
    file[44] = 9
    struct.pack_into("<I", file, 49, zlib.crc32(file[32:49]))
    with pytest.raises(CaeError, match="tile 0 is of the kind 9"):
        container.read(file)


def test_what_is_no_bytes():
    with pytest.raises(CaeError, match="read the file first"):
        info("photo.cae")


def test_text_and_nothing():
    for data in (b"", b"Dear reader, this is a letter.", b"\x89"):
        with pytest.raises(CaeError):
            info(data)
