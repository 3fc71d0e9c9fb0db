"""The viewer's server: its tiles are what the codec decodes, and its requests reach nothing else."""

import contextlib
import functools
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image, ImageOps

import codec
from codec.commands import serve
from codec.images.colour_space import read_png_colour_space
from codec.serve import levels, library, store
from codec.serve.overview import Overview, reduce_repeatedly

from .command_line import BIN
from .conftest import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny, chelsea):
    """Files in a folder, another beside it, and links from one to the other."""
    made = tmp_path_factory.mktemp("served")
    pictures = made / "pictures"
    (pictures / "below").mkdir(parents=True)
    wide = np.tile(chelsea, (2, 3, 1))
    turned = Image.fromarray(chelsea)
    orientation = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    turned.info["exif"], turned.info["icc_profile"] = b"Exif\0\0" + orientation, b"profile"
    images = {
        "wide": wide,
        "below/<b>gray & turned": turned.convert("L"),
        "below/alpha": np.dstack([chelsea, chelsea[..., 0]]),
    }
    for name, image in images.items():
        (pictures / f"{name}.cae").write_bytes(tiny.encode(image, 50))
    (pictures / "broken.cae").write_bytes(b"not a picture")
    (pictures / "notes.txt").write_text("secret")
    (made / "secret.cae").write_bytes((pictures / "wide.cae").read_bytes())
    (pictures / "link.cae").symlink_to(made / "secret.cae")
    (pictures / "up").symlink_to(made)
    return pictures


def start(*arguments):
    """A server, and the port on which it listens."""
    command = [sys.executable, BIN / "cae-serve", *map(str, arguments), "--port", "0", "--weights", TINY, "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise AssertionError(process.stderr.read())
    url = json.loads(line)["url"] if "--json" in arguments else line.split(" at ")[1]
    return process, urllib.parse.urlsplit(url).port


def end(process):
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=60)[1], process.returncode


@pytest.fixture(scope="module")
def port(folder):
    process, number = start(folder)
    yield number
    errors, status = end(process)
    assert (errors, status) == ("", 143)


@pytest.fixture
def get(port):
    return functools.partial(ask, port)


def ask(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


def keys(folder):
    return {file.name.split("/", 1)[-1]: key for key, file in library.Library([folder]).scan().items()}


def pixels_of(answer):
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.body)))


@pytest.mark.parametrize("name", ["wide", "below/alpha", "below/<b>gray & turned"])
def test_tiles_are_what_decode_gives(tiny, folder, get, name):
    at = f"/pictures/{keys(folder)[f'{name}.cae']}"
    data = (folder / f"{name}.cae").read_bytes()
    facts = codec.info(data)
    size = xml.etree.ElementTree.fromstring(get(f"{at}/picture.dzi").body)[0].attrib
    assert (int(size["Width"]), int(size["Height"])) == (facts.width, facts.height)
    top = levels.level_count((facts.width, facts.height)) - 1
    for factor in (1, 2, 4, 8):
        whole = tiny.decode(data, scale=1 / factor)
        for row in range(-(-whole.shape[0] // 512)):
            for column in range(-(-whole.shape[1] // 512)):
                tile = pixels_of(get(f"{at}/picture_files/{top - factor.bit_length() + 1}/{column}_{row}.png"))
                expected = whole[max(0, 512 * row - 1) : 512 * row + 513, max(0, 512 * column - 1) : 512 * column + 513]
                # the server may decode by NumPy
                assert tile.shape == expected.shape and np.abs(tile.astype(int) - expected).max() <= 1
    assert pixels_of(get(f"{at}/picture_files/0/0_0.png")).shape[:2] == (1, 1)


def test_transparent_pictures_are_shown_on_a_checkerboard(tiny, folder, get):
    """The page's tiles are opaque, so that those of coarser levels do not shine through; squares of neighbours meet."""
    at = f"/pictures/{keys(folder)['below/alpha.cae']}"
    assert b'data-tiles="opaque"' in get(f"{at}/").body
    assert b'data-tiles="picture"' in get(f"/pictures/{keys(folder)['wide.cae']}/").body
    assert get(f"{at}/opaque.dzi").body == get(f"{at}/picture.dzi").body
    for level in (8, 9):
        whole = pixels_of(get(f"{at}/picture_files/{level}/0_0.png"))
        shown = pixels_of(get(f"{at}/opaque_files/{level}/0_0.png"))
        rows, columns = np.indices(shown.shape[:2]) // 8
        checks, share = np.where((rows + columns) % 2, 102, 153)[..., None], whole[..., 3:] / 255
        assert np.abs(shown - (share * whole[..., :3] + (1 - share) * checks)).max() <= 0.5 + 1e-9
    assert pixels_of(get(f"{at}/overview.png")).shape[2] == 3
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 2), np.uint8)
    assert np.array_equal(store.put_on_checks(picture, (0, 0))[11:, 13:], store.put_on_checks(picture[11:, 13:], (13, 11)))


def test_tiles_that_are_not_there(folder, get):
    at = f"/pictures/{keys(folder)['wide.cae']}/picture_files"
    for place in (
        "11/3_0",
        "11/0_2",
        "12/0_0",
        "99999999999999999999/0_0",
        f"{'9' * 5000}/0_0",
        f"0/{'9' * 5000}_0",
        "-1/0_0",
        "11/-1_0",
        "a/0_0",
        "11/0_0.jpg",
    ):
        assert get(f"{at}/{place}.png").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../../secret.cae",
        "/pictures/%2e%2e%2fsecret.cae/",
        "/pictures/..%2f..%2fsecret.cae/picture.dzi",
        "/pictures/link.cae/",
        "/pictures/up%2fsecret.cae/",
        "/static/../application.py",
        "/static/%2e%2e/application.py",
        "/static/..%2fapplication.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/",
        "/notes.txt",
        "/pictures/\0/".replace("\0", "%00"),
        "//etc/passwd",
    ],
)
def test_paths_lead_nowhere_else(get, path):
    answer = get(path)
    assert answer.status in (400, 404)
    assert b"secret" not in answer.body and b"import" not in answer.body and b"root:" not in answer.body


def test_links_out_of_a_folder_count_as_nothing(folder, tmp_path):
    assert sorted(keys(folder)) == ["below/<b>gray & turned.cae", "below/alpha.cae", "broken.cae", "wide.cae"]
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.cae").write_bytes(b"")
    shown = library.Library([inside])
    (key,) = shown.scan()
    (inside / "a.cae").unlink()
    (inside / "a.cae").symlink_to(folder / "wide.cae")
    assert shown.find(key) is None
    assert len(library.Library([inside / "a.cae"]).scan()) == 1  # named by whoever started it


def test_pages(folder, get):
    listed = get("/").body.decode()
    assert "4 pictures" in listed and "not a .cae file" in listed
    assert "<b>" not in listed and "&lt;b&gt;gray &amp; turned.cae" in listed
    assert str(folder) not in listed
    page = get(f"/pictures/{keys(folder)['below/<b>gray & turned.cae']}/").body.decode()
    assert "<b>" not in page and 'data-degrees="90"' in page
    thumbnail = pixels_of(get(f"/pictures/{keys(folder)['below/<b>gray & turned.cae']}/thumbnail.png"))
    assert thumbnail.shape == (320, 213)
    answer = get(f"/pictures/{keys(folder)['broken.cae']}/")
    assert answer.status == 500 and b"not a .cae file" in answer.body and str(folder).encode() not in answer.body


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_pictures_are_turned_and_mirrored_as_their_orientation_says(tiny, chelsea, tmp_path, orientation, mode):
    image = Image.fromarray(chelsea[:40, :64]).convert(mode)
    image.getexif()[274] = orientation
    (tmp_path / "a.cae").write_bytes(data := tiny.encode(image, 90))
    decoded = tiny.decode_image(data)
    pixels, upright = np.asarray(decoded), np.asarray(ImageOps.exif_transpose(decoded))
    pictures = store.PictureStore(tiny, 2**20)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pictures.thumbnail(tmp_path / "a.cae")))), upright)
    picture = pictures.open(tmp_path / "a.cae")
    turned = np.rot90(pixels, -picture.degrees // 90)  # by pages, which then exchange left and right
    assert np.array_equal(turned[:, ::-1] if picture.is_mirrored else turned, upright)


def test_tiles_name_the_colour_space(tiny, tmp_path):
    """Code points, too, which pictures of a wide range have in place of a profile."""
    sections = {"cicp": bytes((9, 16, 0, 1)), "mdcv": bytes(24), "clli": bytes(8)}
    (tmp_path / "a.cae").write_bytes(tiny.encode(np.zeros((8, 8, 3), np.uint16), metadata=sections))
    pictures = store.PictureStore(tiny, 2**20)
    picture = pictures.open(tmp_path / "a.cae")
    for png in (pictures.tile(tmp_path / "a.cae", picture, (0, 0, 8, 8), 1), pictures.thumbnail(tmp_path / "a.cae")):
        assert read_png_colour_space(io.BytesIO(png)) == sections
        assert Image.open(io.BytesIO(png)).size == (8, 8)


def test_answers_are_kept_only_as_long_as_the_file(folder, get):
    at = f"/pictures/{keys(folder)['wide.cae']}/picture_files/11/0_0.png"
    tag = get(at).headers["ETag"]
    assert get(at, If_None_Match=tag).status == 304
    assert get(at, If_None_Match='"other"').status == 200
    assert get(at.replace("0_0", "9_9"), If_None_Match=tag).status == 404


@pytest.mark.parametrize(
    ("header", "status"),
    [("{0}", 304), ("W/{0}", 304), ('"x", {0}', 304), ('W/"x",W/{0}', 304), ("*", 304), ('"x"', 200), ("", 200)],
)
def test_tags_in_all_their_forms(folder, get, header, status):
    at = f"/pictures/{keys(folder)['wide.cae']}/picture_files/8/0_0.png"
    assert get(at, If_None_Match=header.format(get(at).headers["ETag"])).status == status


def test_a_folder_without_files_says_what_is_missing(tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    process, port = start(tmp_path)
    assert b"no .cae files here yet" in ask(port, "/").body
    assert f"no .cae files in {tmp_path} yet" in end(process)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of any bytes")
def test_names_that_are_not_utf8(tmp_path, folder):
    """They are shown with a replacement character, also where the file is damaged."""
    for name, data in ((b"caf\xe9.cae", (folder / "wide.cae").read_bytes()), (b"\xff.cae", b"not a picture")):
        (tmp_path / os.fsdecode(name)).write_bytes(data)
    process, port = start(tmp_path)
    try:
        page = ask(port, "/")
        assert page.status == 200 and page.body.decode().count("\ufffd") >= 2
        for key in keys(tmp_path).values():
            assert "\ufffd" in ask(port, f"/pictures/{key}/").body.decode()
    finally:
        assert end(process)[0] == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", ""])
def test_foreign_names_are_refused(get, host):
    assert get("/", Host=host).status in (400, 421)


def test_requests_are_small(get):
    with contextlib.suppress(ConnectionError):
        assert get("/" + "a" * 1_000_000).status == 400
    assert get("/", method="POST").status == 405
    assert "default-src 'self'" in get("/").headers["Content-Security-Policy"]


def test_one_file_has_no_list(folder):
    process, port = start(folder / "wide.cae", "--json")
    try:
        answer = ask(port, "/")
        assert answer.status == 307
        progress = json.loads(ask(port, f"/{answer.headers['Location']}progress.json").body)
        assert 0 <= progress["done"] <= 1 and progress["factor"] == 8
    finally:
        assert end(process) == ("", 143)


def test_wrong_arguments(capsys, tmp_path, folder):
    for arguments, message in (
        ([tmp_path / "none.cae"], "no such file or folder"),
        ([folder, "--port", "70000"], "70000 is out of range; use 0 to 65535"),
        ([folder, "--host", "no such host"], "cannot listen on"),
        ([folder, "--cache", "-1"], "-1 is out of range; use 0 or more"),
        ([], "required"),
    ):
        with pytest.raises(SystemExit) as ended:
            serve.main([str(argument) for argument in arguments])
        said = f"{ended.value.code}{capsys.readouterr().err}"
        assert message in said and said.strip().count("\n") == 0


@pytest.mark.parametrize("colour", [(0, 0, 255), (200,)])
@pytest.mark.parametrize("factor", [2, 16, 64])
def test_levels_show_no_hidden_colours(colour, factor):
    pixels = np.full((70, 90, len(colour) + 1), [*colour, 255], np.uint8)
    pixels[:, ::2] = [255] + [0] * len(colour)
    pixels[:32, :40, -1] = 0
    small = reduce_repeatedly(pixels, factor)
    visible = small[..., -1] > 0
    assert visible.any() and (small[visible][:, :-1] == colour).all()


class Failing:
    """A picture whose rows cannot be had at first."""

    size, mode, depth = (16, 16), "L", 8

    def __init__(self, error):
        self.errors = [error]

    def read(self, region):
        return np.full(region[:1:-1], 7, np.uint8)

    def bands(self, scale):
        if self.errors:
            raise self.errors.pop()
        yield np.full((2, 2), 7, np.uint8)


@pytest.mark.parametrize("error", [MemoryError(), OSError(), RuntimeError("can't allocate memory")])
def test_an_overview_that_fails_is_begun_anew_when_asked_for_again(error):
    overview = Overview(Failing(error))
    assert overview.step()  # the kernels' first use
    assert not overview.step() and overview.done == 0 and overview.error is None
    while overview.step():
        pass
    assert overview.done == 1 and (overview.pixels == 7).all()


@pytest.mark.parametrize(("kept", "overview_bytes"), [(True, 2**28), (False, 1)])
def test_an_overview_outlives_its_open_picture(tiny, chelsea, tmp_path, kept, overview_bytes):
    """A picture that was closed, as others were opened, shows at once what there was of its overview, if that was kept."""
    others = [f"b{number}" for number in range(store.OPEN_MAX)]
    data = tiny.encode(chelsea, 50)
    for name in ("a", *others):
        (tmp_path / f"{name}.cae").write_bytes(data)
    pictures = store.PictureStore(tiny, 2**20, overview_bytes)
    overview = pictures.open(tmp_path / "a.cae").overview
    while overview.step():
        pass
    for name in (*others, "a"):
        picture = pictures.open(tmp_path / f"{name}.cae")
    assert (picture.overview is overview) == kept and overview.done == 1
    expected = tiny.decode(data, scale=1 / 8)
    assert np.array_equal(overview.pixels.reshape(expected.shape), expected)
    (tmp_path / "a.cae").write_bytes(tiny.encode(chelsea[:50], 50))  # another version
    assert pictures.open(tmp_path / "a.cae").overview.pixels.shape[0] == 7


def test_an_overview_of_a_damaged_picture_says_so():
    overview = Overview(Failing(codec.CaeError("tile 3 is damaged")))
    assert overview.step()
    assert not overview.step() and str(overview.error) == "tile 3 is damaged"
