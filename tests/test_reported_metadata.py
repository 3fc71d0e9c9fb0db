"""Image files whose metadata other programs lost or choked on: EXIF, XMP, profiles, resolution."""

import dataclasses
import io
import struct
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import codec
import codec.pillow
from codec.commands.decode import main as decode
from codec.images import streams
from codec.images.picture import from_array
from codec.images.streams.png import make_chunk

from .conftest import TINY
from .doors import by_file, codec_metadata, encoded_metadata, every_door, png, samples_of, saved

pytestmark = pytest.mark.usefixtures("tiny_plugin")


def raw_profile(content: str) -> bytes:
    return make_chunk(b"tEXt", b"Raw profile type exif\0" + content.encode())


BLOCK = Image.Exif()
BLOCK[270] = "a cat"
BLOCK = BLOCK.tobytes()
HEX = BLOCK.hex()
BAD_TEXTS = {
    "bad digits": f"\nexif\n{len(BLOCK):8}\n{HEX[:-2]}zz\n",
    "odd length": f"\nexif\n{len(BLOCK):8}\n{HEX[:-1]}\n",
    "cut off": f"\nexif\n{len(BLOCK):8}\n{HEX[:20]}\n",
    "no length": f"\nexif\n{HEX}\n",
    "nothing": "\n",
    "no header": f"\nexif\n{4:8}\n41424344\n",
}


@every_door
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_damaged_exif_never_costs_the_picture(tmp_path, text, bits, door):
    gray = samples_of(bits, 1)
    (tmp_path / "a.png").write_bytes(png(bits, 0, gray, others=raw_profile(text)))
    with pytest.warns(RuntimeWarning, match="EXIF block is damaged and left out"):
        assert np.array_equal(door(tmp_path / "a.png"), gray[..., 0])
    with pytest.warns(RuntimeWarning, match="EXIF block"):
        assert encoded_metadata(tmp_path / "a.png") == {}


def test_exif_of_a_text_is_kept(tmp_path):
    text = f"\nexif\n{len(BLOCK):8}\n{HEX[:72]}\n{HEX[72:]}\n"
    (tmp_path / "a.png").write_bytes(png(8, 0, samples_of(8, 1), others=raw_profile(text)))
    assert encoded_metadata(tmp_path / "a.png") == {"exif": BLOCK}


@pytest.mark.parametrize("tag", [34675, 700])
@pytest.mark.parametrize("value", [60_000_000, 0xFFFFFFFF])
@pytest.mark.parametrize(("channels", "photometric"), [(1, "minisblack"), (2, "minisblack"), (3, "rgb"), (4, "separated")])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tag_of_a_number_in_place_of_bytes(tmp_path, tag, value, channels, photometric, dtype):
    """The number would be taken for a length."""
    if photometric == "separated" and dtype is np.uint16:
        return  # not read at all
    pixels = np.full((20, 30, channels), 7, dtype)
    extra = {"extrasamples": ["unassalpha"]} if channels == 2 else {}
    options = {"photometric": photometric, "extratags": [(tag, 4, 1, value, True)]} | extra
    tifffile.imwrite(tmp_path / "a.tif", pixels.squeeze(), **options)
    with pytest.warns(RuntimeWarning, match="damaged and left out"), streams.open_picture(tmp_path / "a.tif") as source:
        assert source.metadata.keys() <= {"exif"} and len(np.concatenate(list(source.bands))) == 20


@pytest.mark.parametrize("tag", [34665, 34853])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_directory_before_the_file(tmp_path, tag, dtype):
    """Pillow would seek there where it loads the image."""
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30), 7, dtype), byteorder="<", extratags=[(65000, 9, 1, -5, True)])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HH", 65000, 9), struct.pack("<HH", tag, 9)))
    expected = pytest.warns(RuntimeWarning, match="EXIF block is damaged and left out")
    with expected, streams.open_picture(tmp_path / "a.tif") as source:
        assert len(np.concatenate(list(source.bands))) == 20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_xmp_of_tiff_as_text(tmp_path, dtype):
    """Some programs write it as ASCII, which Pillow hands out as text."""
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30), 7, dtype), extratags=[(700, 2, None, b"<x>\xc3\xa9</x>", True)])
    with streams.open_picture(tmp_path / "a.tif") as source:
        assert source.metadata["xmp "].rstrip(b"\0") == b"<x>\xc3\xa9</x>" and len(np.concatenate(list(source.bands))) == 20


def test_xmp_alone_is_saved():
    image = Image.new("RGB", (8, 8))
    assert saved(image, xmp="<x/>") == saved(image, xmp=b"<x/>") == {"xmp ": b"<x/>"}
    image.info["xmp"] = "<x/>"
    assert saved(image) == {"xmp ": b"<x/>"}
    with pytest.raises(ValueError, match="icc_profile is of type int, not bytes"):
        saved(image, icc_profile=1000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("way", ["del", "clear", "set"])
def test_deleted_positions_do_not_travel_on(kind, way):
    exif = Image.Exif()
    exif[270] = "a cat"
    exif[34853] = {1: "N", 2: (52.0, 31.0, 12.0)}
    Image.new("RGB", (16, 16)).save(buffer := io.BytesIO(), kind, exif=exif.tobytes())
    with Image.open(buffer) as image:
        assert 34853 in image.getexif()
        if way == "del":
            del image.getexif()[34853]
        elif way == "clear":
            image.getexif().get_ifd(34853).clear()
        else:
            image.getexif()[270] = "another"
        for content in (saved(image)["exif"], codec_metadata(image)["exif"]):
            again = Image.Exif()
            again.load(content)
            assert dict(again.get_ifd(34853)) == ({1: "N", 2: (52.0, 31.0, 12.0)} if way == "set" else {})
            assert again[270] == ("another" if way == "set" else "a cat")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_removed_block_does_not_travel_on(kind):
    """Pillow remembers the tags that it has read."""
    exif = Image.Exif()
    exif[34853] = {1: "N", 2: (52.0, 31.0, 12.0)}
    Image.new("RGB", (16, 16)).save(buffer := io.BytesIO(), kind, exif=exif.tobytes())
    with Image.open(buffer) as image:
        assert 34853 in image.getexif()
        del image.info["exif"]
        assert "exif" not in saved(image) and "exif" not in codec_metadata(image)


def test_tags_of_an_image_without_a_file_are_kept():
    image = Image.new("RGB", (16, 16))
    image.getexif()[270] = "a cat"
    again = Image.Exif()
    again.load(codec_metadata(image)["exif"])
    assert again[270] == "a cat"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_is_only_looked_at_stays_as_it_stands(kind):
    Image.new("RGB", (16, 16)).save(buffer := io.BytesIO(), kind, exif=BLOCK)
    with Image.open(buffer) as image:
        before = codec_metadata(image)
        dict(image.getexif())
        assert saved(image) == before and before["exif"].removeprefix(b"Exif\0\0") == BLOCK.removeprefix(b"Exif\0\0")


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("opener", ["path", "bytes"])
def test_profile_of_bmp(tmp_path, opener):
    """Pillow reads no version 5."""
    rows = bytes(range(12)) * 2
    offset = 14 + 124
    header = struct.pack("<IiiHHIIiiII", 124, 4, 2, 1, 24, 0, len(rows), 0, 0, 0, 0) + bytes(16) + b"DEBM" + bytes(48)
    header += struct.pack("<IIII", 4, 124 + len(rows), len(PROFILE), 0)
    data = b"BM" + struct.pack("<IHHI", offset + len(rows) + len(PROFILE), 0, 0, offset) + header + rows + PROFILE
    (tmp_path / "a.bmp").write_bytes(data)
    with Image.open(tmp_path / "a.bmp" if opener == "path" else io.BytesIO(data)) as image:
        assert codec_metadata(image) == {"iccp": PROFILE}
    with streams.open_picture(tmp_path / "a.bmp") as source:
        assert source.metadata == {"iccp": PROFILE}


@pytest.mark.parametrize("method", [2, 3])
def test_profile_of_jpeg_2000(tmp_path, method):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (16, 16)).save(path := tmp_path / "a.jp2")
    usual = struct.pack(">I4s3BI", 15, b"colr", 1, 0, 0, 16)
    box = struct.pack(">I4s3B", 11 + len(profile), b"colr", method, 0, 0) + profile
    data = path.read_bytes()
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    data = data[:start] + struct.pack(">I", length + len(box) - len(usual)) + data[start + 4 :].replace(usual, box)
    path.write_bytes(data)
    assert encoded_metadata(path) == codec_metadata(Image.open(path)) == {"iccp": profile}


def test_profile_of_ycbcr_tiff(tmp_path):
    """It is one for RGB, to which the pixels are converted."""
    Image.new("YCbCr", (16, 16)).save(tmp_path / "a.tif", icc_profile=PROFILE)
    for whole_max in (0, 2**24):
        with streams.open_picture(tmp_path / "a.tif", whole_max=whole_max) as source:
            assert source.metadata["iccp"] == PROFILE


TURNS = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", ["npy", "ppm", "bmp", "tga", "sgi", "pcx", "jp2"])
@pytest.mark.parametrize("turned", TURNS)
def test_turned_upright_where_the_format_has_no_exif(tmp_path, turned, suffix, depth):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    if depth == 16:
        if suffix not in ("npy", "ppm"):
            return  # 8 bits, with a warning
        pixels = pixels * np.uint16(257)
    exif = Image.Exif()
    exif[274] = turned
    data = codec.encode(pixels, lossless=True, weights=TINY, metadata={"exif": exif.tobytes()})
    (tmp_path / "a.cae").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode([str(tmp_path / "a.cae"), str(tmp_path / f"a.{suffix}"), "--weights", str(TINY)])
    assert np.array_equal(by_file(tmp_path / f"a.{suffix}"), TURNS[turned](pixels))


@pytest.mark.parametrize("suffix", ["npy", "ppm", "bmp", "tga", "sgi", "pcx", "jp2"])
@pytest.mark.parametrize("depth", [8, 16])
def test_each_omitted_section_is_told_of(tmp_path, suffix, depth):
    if depth == 16 and suffix not in ("npy", "ppm"):
        return  # 8 bits, with another warning
    picture = from_array(np.zeros((20, 30, 3), np.uint8 if depth == 8 else np.uint16))
    sections = {"iccp": PROFILE, "exif": BLOCK, "xmp ": b"<x/>"}
    for name, content in sections.items():
        label = {"iccp": "ICC profile", "exif": "EXIF block", "xmp ": "XMP packet"}[name]
        with pytest.warns(RuntimeWarning, match=f"does not take the {label}, which is left out"):
            streams.write_picture(tmp_path / f"a.{suffix}", dataclasses.replace(picture, metadata={name: content}))


@pytest.mark.parametrize("suffix", ["ppm", "bmp", "jp2"])
@pytest.mark.parametrize(("tag", "kind"), [(271, 11), (282, 2), (700, 2)])
def test_exif_that_pillow_cannot_write_again_never_costs_the_picture(tmp_path, suffix, tag, kind):
    """A tag of a wrong type beside an orientation, in formats that get pictures turned upright."""
    entries = b"".join(struct.pack("<HHI4s", *each) for each in sorted([(274, 3, 1, b"\6\0\0\0"), (tag, kind, 1, b"A\0\0\0")]))
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with pytest.warns(RuntimeWarning, match="the EXIF block is damaged and left out"):
        streams.write_picture(tmp_path / f"a.{suffix}", dataclasses.replace(from_array(pixels), metadata={"exif": block}))
    if suffix != "jp2":
        assert np.array_equal(by_file(tmp_path / f"a.{suffix}"), np.rot90(pixels, -1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("dots", [(300, 300), (600, 200), (72, 72)])
def test_resolution_is_kept(tmp_path, kind, suffix, dots):
    Image.new("RGB", (16, 16)).save(tmp_path / f"a.{kind}", dpi=dots)
    with streams.open_picture(tmp_path / f"a.{kind}") as source:
        metadata = dict(source.metadata)
        picture = dataclasses.replace(from_array(np.concatenate(list(source.bands))), metadata=metadata)
    streams.write_picture(tmp_path / f"b.{suffix}", picture)
    with Image.open(tmp_path / f"b.{suffix}") as image:
        if dots == (72, 72):  # as programs write where they know none
            assert metadata == {}
        else:
            assert image.info["dpi"] == pytest.approx(dots, abs=0.1)


def test_resolution_that_is_passed_counts_and_comes_back(tmp_path):
    image = Image.new("RGB", (16, 16))
    image.info["dpi"] = (300, 300)
    for options, expected in (({}, 300), ({"dpi": (600, 600)}, 600)):
        image.save(tmp_path / "a.cae", lossless=True, **options)
        with Image.open(tmp_path / "a.cae") as again:
            assert again.info["dpi"] == (expected, expected)
            again.save(tmp_path / "a.jpg", dpi=again.info["dpi"])
        assert codec.decode_image((tmp_path / "a.cae").read_bytes()).info["dpi"] == (expected, expected)


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("own", [None, 72, 200])
def test_resolution_is_kept_beside_exif(tmp_path, kind, order, own):
    """The block's other parts stay, those too that it refers to; a resolution of its own comes first."""
    tags = Image.Exif()
    tags.endian = "<" if order == "II" else ">"
    tags[271], tags[305], tags[34665] = "maker", "a longer text", {36867: "2020:01:01 00:00:00"}
    if own:
        tags[282] = tags[283] = own
    Image.new("RGB", (16, 16)).save(path := tmp_path / f"a.{kind}", dpi=(300, 150), exif=tags.tobytes())
    with Image.open(path) as image:
        image.save(tmp_path / "a.cae", lossless=True)
    with Image.open(tmp_path / "a.cae") as image:
        kept = image.getexif()
        assert (kept[271], kept[305]) == ("maker", "a longer text")
        assert kept.get_ifd(34665) == {36867: "2020:01:01 00:00:00"}
        assert (kept[282], kept[283]) == ((200, 200) if own == 200 else pytest.approx((300, 150), abs=0.1))
