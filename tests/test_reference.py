"""The reference decoder: it stands alone, and agrees with the package on symbols, pixels, metadata and what is refused."""

import hashlib
import io
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import codec
from codec import reference
from codec.entropy.coder import Decoder
from codec.entropy.symbols import decode_symbols
from codec.format import container
from codec.format.geometry import LATENT_STRIDE, Rect
from codec.format.header import Header, Kind
from codec.format.payload import Payload, length_min, split_payload
from codec.metadata import COLOUR_SPACE, KNOWN_NAMES, SECTION_NAMES
from codec.networks.model import Model
from conformance.refusals import damaged_files, forged_files

from .conftest import DATA, TINY
from .forging import transform_payload
from .fuzz.draft import Section, assemble, dissect
from .make_golden_files import DIGESTS, weights_of

SOURCE = Path(reference.__file__)
GOLDEN = json.loads(DIGESTS.read_text())
SMALL = (DATA / "tiny_gray_alpha_v1.cae").read_bytes()


def symbols_of(data: bytes, weights: Path) -> list[reference.Symbols]:
    """The reference's symbols of all tiles that have any."""
    header, sections = reference.read_header(data)
    parts = [part for part in reference.read_index(data, header, reference.read_sections(data, sections)[1]) if part.transform]
    model = reference.Model(weights, header.model_id) if parts else None
    return [model.read_symbols(part, header.quality) for part in parts]


def expected_symbols(data: bytes, model: Model) -> list[tuple[np.ndarray, ...]]:
    """The package's symbols of all tiles that have any."""
    file, found = container.read(data), []
    for number in range(file.header.tile_count):
        if file.kind(number) is not Kind.LOSSLESS:
            place = file.header.place(number)
            decoder = Decoder(
                split_payload(container.read_payload(data, file, number), place)[1], length_min(Kind.TRANSFORM, place)
            )
            size = place.outward(LATENT_STRIDE)
            symbols = decode_symbols(decoder, model.coder.exact, file.header.quality, size.height, size.width)
            found.append((symbols.priors, symbols.hyper, symbols.latent, symbols.index))
    return found


def assert_same_symbols(data: bytes, model: Model, weights: Path = TINY) -> None:
    found, expected = symbols_of(data, weights), expected_symbols(data, model)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def assert_same_picture(data: bytes, held: codec.Codec, weights: Path = TINY) -> reference.Picture:
    """Pixels agree within 1/255 of the largest value, and exactly where nothing is lost; depth and metadata are equal."""
    found, facts = reference.decode(data, weights), codec.info(data)
    expected = held.decode(data).reshape(found.pixels.shape)
    assert (found.pixels.dtype, found.depth) == (expected.dtype, facts.depth)
    assert found.metadata == dict(container.read(data).metadata)
    level = 0 if set(kinds_of(data)) == {Kind.LOSSLESS} else (2**facts.depth - 1) // 255
    assert abs(found.pixels.astype(int) - expected).max() <= level
    if found.pixels.shape[2] in (2, 4):
        assert np.array_equal(found.pixels[..., -1], expected[..., -1])
    return found


def kinds_of(data: bytes) -> list[Kind]:
    """The kinds of all tiles' colours."""
    file = container.read(data)
    return [file.kind(number) for number in range(file.header.tile_count)]


def drawing(height: int, width: int) -> np.ndarray:
    """Flat rectangles, letters' sizes, in few colours: (height, width, 3) uint8."""
    rows, columns = np.indices((height, width))
    lines = (rows // 3 % 4 < 2) & (columns // 2 * 7 % 5 < 3)
    return np.where(lines[..., None], (20, 40, 160), (250, 250, 245)).astype(np.uint8)


def test_it_stands_alone():
    """Without torch, and without the rest of the package."""
    code = (
        "import runpy, sys; sys.modules['torch'] = None\n"
        "held = runpy.run_path(sys.argv[1], run_name='alone')\n"
        "picture = held['decode'](open(sys.argv[2], 'rb').read(), sys.argv[3])\n"
        "assert picture.pixels.shape == (90, 77, 2)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('codec', 'tests')]\n"
    )
    command = [sys.executable, "-I", "-c", code, str(SOURCE), str(DATA / "tiny_gray_alpha_v1.cae"), str(TINY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_one_page():
    assert len(SOURCE.read_text().splitlines()) <= 400


def test_its_command_writes_png(tmp_path):
    command = [sys.executable, str(SOURCE), str(DATA / "tiny_deep_v1.cae"), str(TINY), str(tmp_path / "out.png")]
    subprocess.run(command, check=True)
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (77, 90)
    (tmp_path / "bad.cae").write_bytes(SMALL[:-1])
    command[2] = str(tmp_path / "bad.cae")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "bad.cae: tile 0 is damaged or cut off" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (8, 4), (10, 2), (16, 3)])
def test_png_holds_all_bits(tmp_path, depth, channels):
    import imagecodecs

    pixels = np.arange(5 * 7 * channels).reshape(5, 7, channels) * 211 % 2**depth
    pixels[0, 0] = 2**depth - 1
    picture = reference.Picture(pixels.astype(np.uint8 if depth == 8 else np.uint16), depth, {})
    reference.write_png(tmp_path / "out.png", picture)
    assert np.array_equal(imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files(name, tiny, default):
    data, digest = (DATA / name).read_bytes(), hashlib.sha256()
    for symbols in symbols_of(data, weights_of(name)):
        for part in symbols:
            digest.update(part.astype("<i4").tobytes())
    assert digest.hexdigest() == GOLDEN[name]
    assert_same_picture(data, tiny if weights_of(name) == TINY else default, weights_of(name))


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 135), st.integers(1, 135)),
    channels=st.integers(1, 4),
    quality=st.integers(1, 100),
    depth=st.integers(8, 16),
    content=st.sampled_from(["noise", "photograph", "drawing"]),
    lossless=st.sampled_from([False, False, True]),
)
def test_pictures(tiny, tiny_model, chelsea, size, channels, quality, depth, content, lossless):
    height, width = size
    pixels = np.random.default_rng(height).integers(0, 256, (*size, 4), np.uint8)
    if content != "noise":
        pixels[..., :3] = chelsea[:height, 100 : 100 + width] if content == "photograph" else drawing(*size)
    pixels = pixels[..., {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    if depth > 8:
        pixels = pixels.astype(np.uint16) * (2**depth - 1) // 255
    data = tiny.encode(
        pixels, None if lossless else quality, tile=64, effort=1, lossless=lossless, depth=depth if depth > 8 else None
    )
    assert_same_symbols(data, tiny_model)
    found = assert_same_picture(data, tiny)
    assert not lossless or np.array_equal(found.pixels, pixels)


@pytest.mark.parametrize("depth", [8, 12])
def test_all_kinds_of_tiles(tiny, tiny_model, chelsea, depth):
    picture = np.array(chelsea[:128, :192])
    picture[:64, :64], picture[64:, 90:150] = drawing(64, 64), drawing(64, 60)
    scaled = picture if depth == 8 else picture.astype(np.uint16) * 16
    data = tiny.encode(scaled, 60, tile=64, depth=None if depth == 8 else depth)
    assert set(kinds_of(data)) == set(Kind)
    assert_same_symbols(data, tiny_model)
    assert_same_picture(data, tiny)


def test_symbols_beyond_the_tables(tiny_model):
    """Escaped values of all lengths."""
    rng, place = np.random.default_rng(3), Rect(0, 0, 40, 70)

    def symbols(*shape: int) -> np.ndarray:
        values = (rng.standard_cauchy(shape) * 4 ** rng.integers(0, 8, shape)).clip(-(2**23) + 1, 2**23 - 1)
        return values.astype(np.int32)

    payload = transform_payload(symbols, place, 50, tiny_model)
    data = container.write(Header(70, 40, 3, 50, 128, tiny_model.id), {}, [Payload(Kind.TRANSFORM, payload)])
    assert max(abs(part).max() for part in symbols_of(data, TINY)[0]) > 2**20
    assert_same_symbols(data, tiny_model)


def test_metadata(tiny):
    """In all ways of storage; sections that are not known are left out."""
    profile = SOURCE.parent.joinpath("format", "srgb.icc").read_bytes()
    metadata = {
        "iccp": profile,
        "exif": b"II*\0",
        "xmp ": b"<x/>" * 99,
        "cicp": b"\1\r\0\1",
        "mdcv": bytes(24),
        "clli": b"8" * 8,
    }
    data = tiny.encode(np.zeros((9, 9, 3), np.uint8), metadata=metadata)
    assert assert_same_picture(data, tiny).metadata == metadata
    draft = dissect(data)
    draft.sections.append(Section(b"soon", 3, b"new"))
    draft.header["count"] += 1
    for part in draft.parts:
        part.offset += 15
    assert reference.decode(assemble(draft), TINY).metadata == metadata


def test_all_decoders_and_the_specification_know_the_same_sections():
    container, page, png = ((files("codec") / f"web/static/{name}.js").read_text() for name in ("container", "metadata", "png"))
    by_browsers = re.search(r"KNOWN = (\[.*?\])", container)[1]
    specification = (files("codec") / "FORMAT.md").read_text()
    assert {name.decode() for name in reference.KNOWN} == set(json.loads(by_browsers)) == set(KNOWN_NAMES)
    assert [name for name in KNOWN_NAMES if f"`{name}`" not in specification] == []
    labels, chunks = re.search(r"SECTIONS = \{(.*?)\};", page, re.DOTALL)[1], re.search(r"CHUNKS = \{(.*?)\};", png)[1]
    assert set(re.findall(r'"?(\w{3,4} ?)"?:', labels)) == set(SECTION_NAMES)
    assert set(re.findall(r"(\w+):", chunks)) == {section.name for section in COLOUR_SPACE}


def test_lossless_pictures_need_no_weights(tiny):
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 90, 2), np.uint16)
    data = codec.encode(pixels, lossless=True)
    assert np.array_equal(reference.decode(data).pixels, pixels)
    with pytest.raises(ValueError, match="more than 6299 pixels"):
        reference.decode(data, pixels_max=6299)
    with pytest.raises(ValueError, match="needs the weights with id"):
        reference.decode(SMALL)


def test_altered_and_cut_off_files_are_refused():
    for position in range(len(SMALL)):
        altered = bytearray(SMALL)
        altered[position] ^= 0x10
        for data in (bytes(altered), SMALL[:position]):
            with pytest.raises(ValueError):
                reference.decode(data, TINY)
    with pytest.raises(ValueError, match="4 bytes follow the last tile"):
        reference.decode(SMALL + b"more", TINY)


MESSAGES = {
    "empty": "not a .cae file",
    "magic": "not a .cae file",
    "version-2": "format version 02",
    "header-crc": "the header is damaged",
    "index-crc": "the tile index is damaged",
    "payload-crc": "tile 0 is damaged",
    "cut-off": "cut off",
    "cut-off-in-header": "cut off in its header",
    "excess": "4 bytes follow the last tile",
    "colour-mode": "colour mode 5",
    "quality-0": "quality 0",
    "depth-17": "flags 0x09",
    "flags": "flags 0x10",
    "no-width": "width 0",
    "giant": "cut off in its tile index",
    "tile-size": "tile size 33",
    "model": "is not the model 6d6f64656c696438",
    "no-model": "tile 0 is of a wrong kind",
    "alpha-kind": "tile 0 is of a wrong kind",
    "kind-4": "tile 0 is of a wrong kind",
    "offsets": "tile 0 does not begin where",
    "critical-section": "section b'Soon' is unknown",
    "section-twice": "name b'exif' is bad or occurs twice",
    "section-name": "name b'1xif' is bad or occurs twice",
    "storage-3": "metadata storage 3",
    "storage-name": "metadata storage 2 or name",
    "zlib-bomb": "unpacks to a wrong length",
    "zlib-end": "unpacks to a wrong length",
    "zero-word": "ends with a zero word",
    "no-words": "no whole words",
    "too-short": "too few bytes",
    "symbols-left": "holds more than its symbols",
    "webp-size": "of another size than its tile",
    "webp-lossy": "no lossless WebP file",
    "webp-cut-off": "WebP file is cut off",
    "mixed-empty": "lossless part is empty or cut off",
    "mixed-long": "lossless part is empty or cut off",
}
REFUSED = {name: data for name, data, _ in (*damaged_files(SMALL), *forged_files(SMALL))}


@pytest.mark.parametrize("name", REFUSED)
def test_files_of_the_suite_are_refused(name, tiny):
    """By the package too."""
    with pytest.raises(ValueError, match=MESSAGES[name]):
        reference.decode(REFUSED[name], TINY)
    with pytest.raises(codec.CaeError):
        tiny.decode(REFUSED[name])


@settings(max_examples=40)
@given(st.data())
def test_forged_payloads_are_refused_as_by_the_package(tiny, data):
    """Any words for a tile's symbols, with sound checksums: what one takes the other takes, and shows alike."""
    draft = dissect(SMALL)
    start = data.draw(st.integers(0, len(draft.parts[0].data)))
    draft.parts[0].data = draft.parts[0].data[:start] + data.draw(st.binary(max_size=12))
    draft.settle()
    file = assemble(draft)
    try:
        expected = tiny.decode(file)
    except codec.CaeError:
        with pytest.raises(ValueError):
            reference.decode(file, TINY)
    else:
        assert abs(reference.decode(file, TINY).pixels.astype(int) - expected).max() <= 1


def test_damaged_weights_are_refused(tmp_path):
    weights = TINY.read_bytes()
    length = int.from_bytes(weights[:8], "little")
    files = [b"", weights[:-1], weights[: 8 + length], weights[:-9] + b"123456789", weights.replace(b'"model"', b'"other"')]
    for data in files:
        (tmp_path / "bad.safetensors").write_bytes(data)
        with pytest.raises(ValueError):
            reference.decode(SMALL, tmp_path / "bad.safetensors")


def test_a_webp_file_of_another_size_is_refused():
    file = io.BytesIO()
    Image.fromarray(skimage.data.chelsea()[:10, :12]).save(file, "WEBP", lossless=True)
    assert reference.read_webp(file.getvalue(), 10, 12).shape == (10, 12, 4)
    with pytest.raises(ValueError, match="another size"):
        reference.read_webp(file.getvalue(), 12, 10)
