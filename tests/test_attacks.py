"""Files that were made to do harm; what each tries stands beside it. Most of them have sound checksums."""

import io
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import codec
from codec import CaeError
from codec.coding.lossless import encode_gray
from codec.commands import decode
from codec.format import container
from codec.format.header import Header, Kind
from codec.format.payload import Payload
from codec.format.sources import FileSource
from codec.images.files import write_image
from codec.images.metadata import orientation, select_metadata
from codec.images.picture import Picture
from codec.networks.weights import Weights

from .conftest import TINY
from .fuzz.draft import Section, assemble, dissect

HEADER = Header(150, 100, 3, 50, 64, b"modelid8")
FILE = container.write(HEADER, {"exif": b"II*\0", "iccp": b"profile"}, [Payload(Kind.TRANSFORM, bytes(8))] * 6)


@pytest.mark.parametrize(
    ("number", "offset", "tries"),
    [
        (3, lambda offsets: offsets[2], "to have two tiles share their bytes, so that a small file is much work"),
        (3, lambda offsets: offsets[2] + 4, "to have a tile begin within another"),
        (0, lambda offsets: offsets[5], "to have the first tile stand last, and bytes of the file belong to no tile"),
        (5, lambda offsets: offsets[5] + 1, "to hide bytes between two tiles"),
        (1, lambda offsets: 0, "to have the header read as a tile"),
        (1, lambda offsets: len(FILE), "to read beyond the end of the file"),
        (1, lambda offsets: 2**63, "to have a signed 64-bit offset become negative"),
        (1, lambda offsets: 2**64 - 8, "to have offset and length add up to 0 in 64 bits"),
    ],
)
def test_tiles_out_of_place(number, offset, tries):
    draft = dissect(FILE)
    draft.parts[number].offset = offset([part.offset for part in draft.parts])
    with pytest.raises(CaeError, match=f"tile {number} does not begin where the part before it ends"):
        container.read(assemble(draft))


def test_tiles_in_reverse():
    """Tries to have each tile found behind the one that follows it, as a reader that trusts offsets alone allows."""
    draft = dissect(FILE)
    offsets = [part.offset for part in draft.parts]
    for part, offset in zip(draft.parts, reversed(offsets), strict=True):
        part.offset = offset
    with pytest.raises(CaeError, match="tile 0 does not begin where"):
        container.read(assemble(draft))


@pytest.mark.parametrize("length", [2**32 - 4, 2**31, 12])
def test_giant_tiles(length):
    """Tries to have memory taken for a payload that is not there."""
    draft = dissect(FILE)
    draft.parts[-1].length = length
    with pytest.raises(CaeError, match="the file is cut off"):
        container.read(assemble(draft))


@pytest.mark.parametrize("name", [b"exif", b"soon"])
def test_duplicated_sections(name):
    """Tries to have one reader see the first of two sections, and another the second."""
    draft = dissect(FILE)
    draft.sections = [Section(name, 4, b"MM\0*"), Section(name, 4, b"II*\0")]
    draft.settle()
    with pytest.raises(CaeError, match=f"{name.decode()!r} occurs twice"):
        container.read(assemble(draft))


@pytest.mark.parametrize("claimed", [2**26 + 1, 2**29, 2**30 - 1])
def test_sections_that_claim_to_be_giant(claimed):
    """Tries to have memory taken for a section that is not there, or that is more than any profile or block needs."""
    draft = dissect(FILE)
    draft.sections[0].claimed = claimed
    with pytest.raises(CaeError, match=f"section 0 claims {claimed} bytes: at most 67108864 are allowed"):
        container.read(assemble(draft))
    draft.sections[0].claimed = 2**26
    with pytest.raises(CaeError, match="claims 67108864 bytes, but the file ends before"):
        container.read(assemble(draft))


def test_giant_sections_are_not_written(tiny, tmp_path):
    """Tries to have a file written that no reader takes, and the old one lost."""
    image = Image.new("L", (9, 9))
    image.info["icc_profile"] = bytes(2**26 + 1)
    with pytest.raises(CaeError, match="metadata 'iccp' of 67108865 bytes"):
        tiny.encode(image)
    (tmp_path / "old.cae").write_bytes(b"old")
    with pytest.raises(CaeError, match=r"old\.cae: metadata 'xmp '"):
        tiny.create(tmp_path / "old.cae", (9, 9), "L", metadata={"xmp ": bytes(2**26 + 1)})
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_giant_section_of_nothing(tmp_path):
    """Tries to have a sparse file, which takes no room on a disk, take its length in memory: an unknown section of 64 MiB."""
    fixed = FILE[:18] + struct.pack("<H", 1) + FILE[20:28]
    start = struct.pack("<4sI", b"soon", 2**26)
    crc = zlib.crc32(bytes(2**26), zlib.crc32(start))
    path = tmp_path / "sparse.cae"
    path.write_bytes(fixed + struct.pack("<I", zlib.crc32(fixed)) + start + struct.pack("<I", crc))
    os.truncate(path, 2**26 + 1000)
    tracemalloc.start()
    try:
        with FileSource(path) as source, pytest.raises(CaeError, match="the tile index is damaged"):
            container.read(source)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


ODD_EXIF = [
    b"",
    b"II*\0",
    b"Exif\0\0MM\0*\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",  # orientation 9
    b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",  # orientation "abc"
    b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x02\0\0\0\x06\0\x06\0\0\0\0\0",  # two orientations
    b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\x08\0\0\0\0\0\0\0",  # four billion orientations
    b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",  # directories that lead back to themselves
    bytes(range(256)),
]


@pytest.mark.filterwarnings("ignore:.*format does not take:RuntimeWarning", "ignore:.*EXIF data:UserWarning")
@pytest.mark.parametrize("block", ODD_EXIF, ids=range(len(ODD_EXIF)))
def test_nonsense_in_place_of_metadata(tiny, tmp_path, block):
    """Tries to break what passes metadata on, by blocks with sound checksums that are no EXIF, ICC profile or XMP packet."""
    sections = {"exif": block, "iccp": block[::-1], "xmp ": b"\xff" + block}
    image = Image.new("RGB", (20, 17))
    data = tiny.encode(image)
    parsed = container.read(data)
    (tmp_path / "odd.cae").write_bytes(container.write(parsed.header, sections, [container.read_payload(data, parsed, 0)]))
    assert orientation(sections) == orientation(select_metadata(sections, ())) == 1
    decode.main([str(tmp_path / "odd.cae"), str(tmp_path / "out.png"), "--weights", str(TINY), "--quiet"])
    for suffix in ("tif", "jpg", "webp", "avif", "jp2", "bmp"):
        write_image(tmp_path / f"out.{suffix}", Picture(np.zeros((17, 20, 3), np.uint8), metadata=sections))
    for path in tmp_path.glob("out.*"):
        with Image.open(path) as made:
            assert made.size == (20, 17)


def alpha_file(tiny, payload: bytes) -> bytes:
    """A picture of 40 x 30 with a payload in place of its alpha."""
    data = tiny.encode(np.full((30, 40, 4), 255, np.uint8))
    draft = dissect(data)
    draft.parts[1].data = payload
    draft.settle()
    return assemble(draft)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


WHITE = encode_gray(np.full((30, 40), 255, np.uint8))
LARGE = encode_gray(np.full((2048, 2048), 255, np.uint8))


@pytest.mark.parametrize(
    ("payload", "message", "tries"),
    [
        (encode_gray(np.zeros((16383, 1), np.uint8)), "of another size", "to have more rows come than the tile has"),
        (LARGE, "of another size", "to have 84 bytes become four million pixels"),
        (riff(chunk(b"VP8X", bytes(10)), WHITE[12:]), "no lossless", "to bring features in, such as animation"),
        (riff(WHITE[12:], WHITE[12:]), "more than one chunk", "to have two readers see two pictures"),
        (riff(WHITE[12:20] + WHITE[20:25] + bytes(9)), "cut off|damaged", "to have the coder read on beyond its bytes"),
        (WHITE[:30] + bytes(len(WHITE) - 30), "damaged", "to have a broken code read as one without end"),
    ],
)
def test_alpha_that_explodes(tiny, payload, message, tries):
    with pytest.raises(CaeError, match=f"the alpha of tile 0: a?.*({message})"):
        tiny.decode(alpha_file(tiny, payload))


def forged_weights(path: Path, **changes: object) -> Path:
    """The tiny weights with changes of their configuration."""
    metadata = dict(Weights.read(TINY).metadata)
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | changes)
    save_file(load_file(TINY), path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"synthesis_blocks": 10**9},
        {"analysis_wide_blocks": 10**9},
        {"context_blocks": 10**9},
        {"latent_channels": 2**33},
        {"channels": 10**30},
        {"hyper_channels": -1},
        {"leading_channels": 65},
        {"levels": 2**40},
        {"levels": 1.5},
        {"quality_levels": [float("nan"), 1.0]},
        {"quality_levels": [0.0, 1e300]},
        {"quality_levels": [1.0, 0.0]},
        {"quality_levels": []},
        {"quality_levels": [0.0] * 10**6},
        {"quality_levels": 5},
        {"quality_levels": ["0", "1"]},
        {"objective": 5},
        {"score_max": 1e9},
        {"lambda_min": 0},
        {"lambda_min": -1.0},
        {"lambda_min": 1e-300, "lambda_max": 8000},
        {"synthesis_expansion": "2"},
        {"channels": True},
        {"unknown": 1},
    ],
)
def test_weights_that_ask_for_networks_without_end(tmp_path, changes):
    """Tries to have memory or time taken for networks whose tensors the file does not hold."""
    path = forged_weights(tmp_path / "forged.safetensors", **changes)
    for arguments in ({"weights": path}, {"weights": path, "encoder": "none"}, {"encoder": path}):
        with pytest.raises(CaeError, match=r"weights file|no encoder|not an encoder"):
            codec.Codec(device="cpu", **arguments)


def test_weights_of_a_later_objective_decode(tmp_path, tiny, chelsea):
    data = tiny.encode(chelsea[:64, :64])
    later = codec.Codec(weights=forged_weights(tmp_path / "later.safetensors", objective="beauty"), device="cpu")
    assert np.array_equal(later.decode(data), tiny.decode(data))
    with pytest.raises(CaeError, match="objective 'beauty'; update this codec"):
        later.encode(chelsea[:64, :64])


def safetensors_file(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


CONFIG = {"config": "{}"}
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": CONFIG, "tables/x": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}},
        {"__metadata__": CONFIG, "tables/x": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}},
        {"__metadata__": CONFIG, "tables/x": {"dtype": 5, "shape": [1], "data_offsets": [0, 1]}},
        {"__metadata__": CONFIG, "tables/x": {"dtype": "U8", "shape": None, "data_offsets": ["a", {}]}},
        {"__metadata__": CONFIG, "tables/x": {"dtype": "U8", "shape": [1], "data_offsets": [-5, -1, 7]}},
        {"__metadata__": CONFIG, "tables/x": 5},
        {"__metadata__": {"config": "[]"}},
        {"__metadata__": {"config": "null"}},
        {"__metadata__": {"config": {}}},
        {"__metadata__": {"config": DEEP}},
        {"__metadata__": {"config": '{"channels":' + "9" * 10_000 + "}"}},
        b"\xff" * 50,
        b'{"a":' * 50_000,
    ],
)
def test_weights_whose_header_lies(tmp_path, header):
    """Tries to have a reader of the header trust types, shapes and places that it finds there."""
    path = safetensors_file(tmp_path / "forged.safetensors", header, bytes(8))
    for arguments in ({"weights": path}, {"weights": path, "encoder": "none"}, {"encoder": path}, {"decoder": path}):
        with pytest.raises(CaeError):
            codec.Codec(device="cpu", **arguments)


def test_weights_that_are_no_file(tmp_path):
    """Tries to have a reader wait for a pipe, read a device for ever, or read a sparse file of a terabyte."""
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    (tmp_path / "sparse.safetensors").touch()
    os.truncate(tmp_path / "sparse.safetensors", 2**40)
    for name, message in (
        ("pipe", "not a regular file"),
        ("zero", "not a regular file"),
        ("sparse", "more than any weights file"),
    ):
        for part in ("weights", "encoder", "decoder"):
            with pytest.raises(CaeError, match=message):
                codec.Codec(device="cpu", **{part: tmp_path / f"{name}.safetensors"})


def test_weights_under_a_false_name(tiny, install_weights, tmp_path, chelsea):
    """Tries to have a file decoded by other weights than its own, to another picture, by an installed file that lies."""
    coded = tiny.encode(chelsea[:20, :20])
    tensors = load_file(TINY)
    tensors["synthesis/patch_out.bias"] = tensors["synthesis/patch_out.bias"] + np.float16(0.2)
    save_file(tensors, tmp_path / "liar.safetensors", metadata=Weights.read(TINY).metadata)
    save_file(tensors, tmp_path / "nameless.safetensors", metadata=Weights.read(TINY).metadata | {"id": "no number"})
    default = codec.Codec(device="cpu")
    install_weights(tmp_path)
    with pytest.raises(CaeError, match=r"liar\.safetensors: says that its id is .* install it again"):
        default.decode(coded)


def weights_of(path, value, *names):
    tensors = load_file(TINY)
    for name in names:
        tensors[name] = np.full_like(tensors[name], value)
    save_file(tensors, path, metadata=Weights.read(TINY).metadata)
    return path


@pytest.mark.parametrize("value", [np.inf, np.nan, 60000])
def test_weights_of_no_numbers(tmp_path, value):
    """Tries to break both ways by gains that are infinite or no numbers, as they stand or once they are raised to a power."""
    with pytest.raises(CaeError, match="not finite"):
        codec.Codec(weights=weights_of(tmp_path / "forged.safetensors", value, "levels/log_gain"), device="cpu")


def test_weights_that_blow_up(tiny, tmp_path, chelsea):
    """Tries to break both ways by networks whose values become infinite; what the decoder shows is of no matter."""
    data = tiny.encode(chelsea[:70, :90], tile=64)
    path = weights_of(tmp_path / "huge.safetensors", 3e38, "synthesis/patch_out.weight", "analysis/to_latent.weight")
    overflowing = codec.Codec(weights=path, device="cpu")
    draft = dissect(data)
    draft.header["model"] = Weights.read(path).id
    assert overflowing.decode(assemble(draft)).shape == (70, 90, 3)
    with pytest.raises(CaeError, match="no finite numbers"):
        overflowing.encode(chelsea)


def test_a_source_that_changes_its_mind(tiny, chelsea):
    """Tries to pass the checks with one file, and to have another decoded: each read gives other bytes."""

    class TwoFaced(io.BytesIO):
        seen = 0

        def read(self, size: int | None = -1) -> bytes:
            content = bytearray(super().read(size))
            self.seen += 1
            if self.seen > 3 and content:
                content[len(content) // 2] ^= 0xFF
            return bytes(content)

    data = tiny.encode(chelsea[:150], 50, tile=64)
    with tiny.open(TwoFaced(data)) as picture, pytest.raises(CaeError, match=r"tile [0-9] is damaged"):
        list(picture.tiles())
