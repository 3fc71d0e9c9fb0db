"""Pictures of more than 8 bits a channel are taken as they are, or refused where Pillow converts them without a word."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, PngImagePlugin
from pillow_heif.as_plugin import HeifImageFile

from codec import CaeError
from codec.images import streams
from codec.images.files import read_image
from codec.images.picture import from_pillow

from .conftest import DATA

SIDE = 4
WORDS = bytes(range(SIDE * SIDE * 4 * 2))


def png(bits: int, colour: int, channels: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour, 0, 0, 0)
    rows = bytes(1 + SIDE * channels * bits // 8) * SIDE
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(bits: int, order: str, samples: int = 3, photometric: int = 2) -> bytes:
    pack = {"II": "<", "MM": ">"}[order]
    tags = [(256, SIDE), (257, SIDE), (258, None), (259, 1), (262, photometric), (273, None), (277, samples), (278, SIDE)]
    tags.append((279, SIDE * SIDE * samples * bits // 8))
    after = 8 + 2 + 12 * len(tags) + 4
    file = order.encode() + struct.pack(f"{pack}HIH", 42, 8, len(tags))
    for tag, value in tags:
        if tag == 258:
            file += struct.pack(f"{pack}HHII", tag, 3, samples, after)
        else:
            file += struct.pack(f"{pack}HHII", tag, 4, 1, after + 2 * samples if value is None else value)
    return file + struct.pack(f"{pack}I{samples}H", 0, *[bits] * samples) + WORDS


def ppm(magic: str, largest: int) -> bytes:
    header = f"{magic} # a comment\n{SIDE} {SIDE}\n{largest}\n".encode()
    if magic in ("P2", "P3"):
        return header + b" ".join(b"%d" % (number % largest) for number in range(SIDE * SIDE * 3))
    return header + (WORDS if largest > 255 else bytes(number % largest for number in WORDS))


def dds(kind: str) -> bytes:
    """Half floats in blocks, or pixels of 32 bits of which each channel has 10 or 8."""
    masks = {"10": (0x3FF, 0xFFC00, 0x3FF00000), "8": (0xFF, 0xFF00, 0xFF0000)}.get(kind, (0, 0, 0))
    pixels = (
        struct.pack("<II4s5I", 32, 4, b"DX10", 0, 0, 0, 0, 0)
        if kind == "half"
        else struct.pack("<8I", 32, 64, 0, 32, *masks, 0)
    )
    header = struct.pack("<7I", 124, 0x1007, SIDE, SIDE, 0, 0, 0) + bytes(44) + pixels + bytes(20)
    return b"DDS " + header + (struct.pack("<5I", 95, 3, 0, 1, 0) if kind == "half" else b"") + bytes(64)


def saved(kind: str, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (SIDE, SIDE), 7 if mode in ("L", "I;16", "F") else None).save(file, kind, **options)
    return file.getvalue()


def sgi(bits: int, *, packed: bool = False) -> bytes:
    raw = saved("SGI", bpc=bits // 8)
    if not packed:
        return raw
    # each row as one run of the value 0, then the end
    run = struct.pack(">HHH", SIDE, 0, 0) if bits == 16 else bytes((SIDE, 0, 0))
    starts = range(512 + 2 * 4 * SIDE * 3, 512 + 2 * 4 * SIDE * 3 + SIDE * 3 * len(run), len(run))
    tables = struct.pack(f">{SIDE * 3}I", *starts) + struct.pack(f">{SIDE * 3}I", *[len(run)] * SIDE * 3)
    return raw[:2] + b"\x01" + raw[3:512] + tables + run * SIDE * 3


def bmp_of_16_bits_a_pixel() -> bytes:
    pixels = WORDS[: SIDE * SIDE * 2]
    header = struct.pack("<IiiHHIIiiII3I", 40, SIDE, SIDE, 1, 16, 3, len(pixels), 0, 0, 0, 0, 0xF800, 0x7E0, 0x1F)
    return struct.pack("<2sIHHI", b"BM", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


# files of colour in the folder come from other encoders, since Pillow writes only gray at such depths
DEEP = {
    "gray.png": png(16, 0, 1),
    "rgb.png": png(16, 2, 3),
    "gray_alpha.png": png(16, 4, 2),
    "rgba.png": png(16, 6, 4),
    "gray.tif": saved("TIFF", "I;16"),
    "float.tif": saved("TIFF", "F"),
    "rgb_little.tif": tiff(16, "II"),
    "rgb_big.tif": tiff(16, "MM"),
    "cmyk.tif": tiff(16, "II", 4, 5),
    "gray.pgm": ppm("P5", 65535),
    "gray_10.pgm": ppm("P5", 1023),
    "gray_text.pgm": ppm("P2", 256),
    "rgb.ppm": ppm("P6", 65535),
    "rgb_10.ppm": ppm("P6", 1023),
    "rgb_text.ppm": ppm("P3", 256),
    "rgb.sgi": sgi(16),
    "rgb_packed.sgi": sgi(16, packed=True),
    "gray.sgi": saved("SGI", "L", bpc=2),
    "gray.jp2": saved("JPEG2000", "I;16"),
    "rgb.jp2": (DATA / "rgb16.jp2").read_bytes(),
    "rgb.j2k": (DATA / "rgb16.j2k").read_bytes(),
    "rgb.avif": (DATA / "rgb10.avif").read_bytes(),
    "half.dds": dds("half"),
    "masks.dds": dds("10"),
}
SHALLOW = {
    "gray.png": png(8, 0, 1),
    "rgba.png": png(8, 6, 4),
    "rgb.tif": tiff(8, "II"),
    "few.ppm": ppm("P6", 15),
    "rgb.ppm": ppm("P6", 255),
    "rgb_text.ppm": ppm("P3", 255),
    "bitmap.pbm": saved("PPM", "1"),
    "rgb.sgi": sgi(8),
    "rgb_packed.sgi": sgi(8, packed=True),
    "rgb.jp2": saved("JPEG2000"),
    "rgb.j2k": saved("JPEG2000", no_jp2=True),
    "rgba.avif": saved("AVIF", "RGBA"),
    "rgb.jpg": saved("JPEG"),
    "rgb.webp": saved("WEBP"),
    "palette.gif": saved("GIF", "P"),
    "masks.dds": dds("8"),
    "blocks.dds": saved("DDS", "RGBA", pixel_format="DXT5"),
    "packed.bmp": bmp_of_16_bits_a_pixel(),
}


KEPT = ("gray.png", "gray.tif", "gray.jp2")
"""Those that Pillow takes as they are."""
MESSAGES = {name: "32-bit integers" for name in DEEP if name.endswith(".pgm")} | {"float.tif": "floating-point numbers"}
UNREAD = {
    "float.tif": "floating-point numbers; scale them",
    "cmyk.tif": r"colour space \(CMYK\)",
    **{name: "8 bits a channel are not read; save it as" for name in DEEP if "text" in name or name[-3:] in ("sgi", "dds")},
}
"""Why files are not read, and what to do."""


@pytest.mark.parametrize("name", DEEP)
def test_deep_files_are_read_to_the_last_bit_or_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DEEP[name])
    if name in UNREAD:
        with pytest.raises(CaeError, match=UNREAD[name]), streams.open_picture(path):
            pass
    else:
        with streams.open_picture(path) as source:
            assert (source.depth, next(source.bands).dtype) == (16, np.uint16)


def check_taken_or_refused(name: str, image: Image.Image) -> None:
    if name in KEPT:
        assert from_pillow(image).colour.dtype == np.uint16
    else:
        with pytest.raises(CaeError, match=MESSAGES.get(name, "more than 8 bits a channel, which Pillow has rounded")):
            from_pillow(image)


@pytest.mark.parametrize("name", DEEP)
def test_deep_images_are_taken_or_refused_loaded_or_not(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(DEEP[name])
    with Image.open(io.BytesIO(DEEP[name])) as image:
        check_taken_or_refused(name, image)
    with Image.open(path) as image:
        image.load()
        check_taken_or_refused(name, image)


@pytest.mark.parametrize("name", [name for name in DEEP if name.endswith((".png", ".tif"))])
def test_deep_images_loaded_from_bytes_are_taken_or_refused(name):
    with Image.open(io.BytesIO(DEEP[name])) as image:
        image.load()
        check_taken_or_refused(name, image)


@pytest.mark.parametrize("name", ["rgb.png", "rgba.png", "rgb_big.tif", "rgb.ppm", "gray_10.pgm"])
def test_an_open_image_of_which_nothing_is_loaded_is_taken_from_its_file(tmp_path, name):
    (tmp_path / name).write_bytes(DEEP[name])
    with Image.open(tmp_path / name) as image:
        for _ in range(2):
            assert streams.read_full_depth(image).pixels.dtype == np.uint16
        image.load()
        with pytest.raises(CaeError):
            streams.read_full_depth(image)


def test_deep_heif_of_a_plugin_is_refused():
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 64), bytes(64 * 64 * 3 * 2)).save(file)
    with HeifImageFile(file) as image:
        for _ in range(2):
            with pytest.raises(CaeError, match="more than 8 bits a channel"):
                from_pillow(image)
            image.load()
        assert from_pillow(image.convert("RGB")).colour.shape == (64, 64, 3)


def test_a_text_that_names_a_depth_is_none():
    file = io.BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("bit_depth", "16")
    Image.new("L", (SIDE, SIDE)).save(file, "PNG", pnginfo=text)
    with Image.open(file) as image:
        assert from_pillow(image).colour.shape == (SIDE, SIDE, 1)


@pytest.mark.parametrize("name", SHALLOW)
def test_others_are_taken_loaded_or_not(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SHALLOW[name])
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    for source in (path, io.BytesIO(SHALLOW[name])):
        with Image.open(source) as image:
            for _ in range(2):
                colour = from_pillow(image).colour
                assert np.array_equal(np.broadcast_to(colour, (SIDE, SIDE, 3)), expected)
                image.load()


def test_a_conversion_is_all_that_it_takes():
    with Image.open(DATA / "rgb16.png") as image:
        assert from_pillow(image.convert("RGB")).colour.shape[2] == 3


@pytest.mark.parametrize("successor", [None, b"no picture", "larger"])
def test_a_file_that_is_gone_tells_nothing(tmp_path, successor):
    path = tmp_path / "rgb.ppm"
    path.write_bytes(SHALLOW["rgb.ppm"])
    with Image.open(path) as image:
        image.load()
        path.unlink()
        if successor == "larger":
            path.write_bytes(b"P6 8 8 65535\n" + bytes(8 * 8 * 3 * 2))
        elif successor:
            path.write_bytes(successor)
        assert from_pillow(image).colour.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("name", ["rgb.avif", "rgb.jp2", "rgb.j2k"])
def test_damaged_headers_are_errors_of_ours(tmp_path: Path, name):
    for length in range(0, len(DEEP[name]), 3):
        (tmp_path / name).write_bytes(DEEP[name][:length])
        with pytest.raises(CaeError):
            read_image(tmp_path / name)
