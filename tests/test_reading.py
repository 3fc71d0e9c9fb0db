"""Open pictures: what they give is what `decode` gives, from no more of the file than it needs, on any number of threads."""

import functools
import http.server
import io
import mmap
import multiprocessing
import os
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pytest
from PIL import Image

import codec
from codec.api.codec import open_lazily
from codec.format import container
from codec.format.header import Header, Kind
from codec.format.payload import Payload
from codec.format.sources import READ_AHEAD

from .conftest import DATA, TINY
from .forging import Counting, cost, smallest_file

REGIONS = [(0, 0, 1, 1), (450, 299, 1, 1), (63, 64, 130, 65), (100, 0, 7, 300), None]


@pytest.fixture(scope="module")
def data(tiny, chelsea) -> bytes:
    return tiny.encode(chelsea, 60, tile=64)


@pytest.fixture
def path(data, tmp_path):
    photo = tmp_path / "photo.cae"
    photo.write_bytes(data)
    return photo


def crop(pixels, region):
    if region is None:
        return pixels
    x, y, width, height = region
    return pixels[y : y + height, x : x + width]


def test_facts(default, chelsea):
    image = Image.fromarray(chelsea).convert("LA")
    image.info["icc_profile"], image.info["exif"] = b"profile", b"Exif\0\0II*\0"
    data = default.encode(image, 33, tile=192)
    with default.open(data) as picture:
        assert picture.info == codec.info(data)
        assert (picture.size, picture.mode, picture.tile_size, picture.quality) == ((451, 300), "LA", 192, 33)
        assert picture.metadata == {"iccp": b"profile", "exif": b"Exif\0\0II*\0"}
        picture.metadata.clear()
        assert len(picture.metadata) == 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [64, 192, 1024])
def test_regions_tiles_and_bands(tiny, chelsea, channels, tile):
    data = tiny.encode(np.concatenate([chelsea, chelsea[..., :1]], -1)[..., :channels], 60, tile=tile)
    whole = tiny.decode(data)
    with tiny.open(data) as picture:
        for region in REGIONS:
            assert np.array_equal(picture.read(region), crop(whole, region))
            assert np.array_equal(np.concatenate(list(picture.bands(region))), crop(whole, region))
        seen = np.zeros(whole.shape, np.uint8)
        corners = []
        for x, y, pixels in picture.tiles():
            corners.append((y, x))
            seen[y : y + tile, x : x + tile] = pixels
        assert corners == [(y, x) for y in range(0, 300, tile) for x in range(0, 451, tile)]
        assert np.array_equal(seen, whole)


def test_whatever_holds_a_file(tiny, path, data):
    whole = tiny.decode(data)
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/photo.cae", data)
    with open(path, "rb") as file, filesystem.open("/photo.cae") as remote, open(path, "rb", buffering=0) as raw:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for source in (path, str(path), file, raw, io.BytesIO(data), data, np.frombuffer(data, np.uint8), mapped, remote):
            with tiny.open(source) as picture:
                assert np.array_equal(picture.read((100, 100, 80, 80)), whole[100:180, 100:180])
        mapped.close()


def test_what_is_no_file(tiny, tmp_path, path):
    for wrong, message in (
        (tmp_path / "none.cae", r"none\.cae: No such file"),
        (tmp_path, "is a directory"),
        (None, "no file's bytes"),
        (io.BytesIO(b"Dear reader"), "^not a .cae file"),
    ):
        with pytest.raises(codec.CaeError, match=message):
            tiny.open(wrong)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(codec.CaeError, match=r"photo\.cae: the file is cut off"):
        tiny.open(path)
    path.write_bytes(container.write(Header(1, 1, 3, 1, 64, b"nobody's"), {}, [Payload(Kind.TRANSFORM, b"word")]))
    with pytest.raises(codec.CaeError, match=r"photo\.cae: .*weights"):
        tiny.open(path)


def test_opened_lazily(tiny, data):
    """No codec is made before pixels are asked for."""
    made = []

    def make():
        made.append(tiny)
        return tiny

    with open_lazily(data, make) as picture:
        assert (picture.size, picture.mode, picture.depth, picture.metadata) == ((451, 300), "RGB", 8, {})
        assert picture.info == codec.info(data) and not made
        assert np.array_equal(picture.read((9, 9, 9, 9)), tiny.decode(data)[9:18, 9:18]) and picture.scales
    assert len(made) == 1


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (450, 0, 2, 5), (0, 0, 5), "abcd"])
def test_bad_regions(tiny, data, region):
    with tiny.open(data) as picture:
        for read in (picture.read, picture.bands):
            with pytest.raises(codec.CaeError, match="region"):
                read(region)


def test_a_closed_picture(tiny, path, data):
    for source in (path, data, io.BytesIO(data)):
        with tiny.open(source) as picture:
            arriving = picture.tiles()
        for read in (picture.read, picture.bands, lambda arriving=arriving: next(arriving)):
            with pytest.raises(codec.CaeError, match="closed; open it again"):
                read()


@pytest.mark.parametrize("change", [4, -4])
def test_a_file_that_grows_or_shrinks(tiny, path, change):
    with tiny.open(path) as picture:
        os.truncate(path, path.stat().st_size + change)
        with pytest.raises(codec.CaeError, match=r"photo\.cae: the file has (grown|shrunk) from .* open it again"):
            picture.read()


def test_a_file_that_another_replaces_is_read_on(tiny, path, data, tmp_path):
    with tiny.open(path) as picture:
        (tmp_path / "other").write_bytes(b"another")
        os.replace(tmp_path / "other", path)
        assert np.array_equal(picture.read(), tiny.decode(data))


@pytest.mark.parametrize("kind", ["path", "file", "bytes"])
def test_sixteen_threads(tiny, path, data, kind):
    """Regions, tiles and bands of one open picture at once; some threads share an iterator."""
    whole = tiny.decode(data)
    rng = np.random.default_rng(3)

    def region(picture, seed):
        x, y = (int(value) for value in rng.integers(0, 200, 2)) if seed else (0, 0)
        return np.array_equal(picture.read((x, y, 90, 80)), whole[y : y + 80, x : x + 90])

    def tiles(picture, _):
        return all(np.array_equal(pixels, whole[y : y + 64, x : x + 64]) for x, y, pixels in picture.tiles())

    def bands(picture, _):
        return np.array_equal(np.concatenate(list(picture.bands())), whole)

    with open(path, "rb") as file, tiny.open({"path": path, "file": file, "bytes": data}[kind]) as picture:
        shared = picture.tiles()

        def share(picture, _):
            return all(np.array_equal(pixels, whole[y : y + 64, x : x + 64]) for x, y, pixels in shared)

        work = [region, tiles, bands, share] * 4 + [region] * 16
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(lambda number: work[number](picture, number), range(len(work))))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves ranges of bytes, and counts them."""

    fetched = 0

    def do_GET(self):
        content = (DATA.__class__(self.directory) / self.path[1:]).read_bytes()
        first, last = (int(number) for number in self.headers["Range"].removeprefix("bytes=").split("-"))
        piece = content[first : last + 1]
        type(self).fetched += len(piece)
        self.send_response(206)
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("Content-Range", f"bytes {first}-{first + len(piece) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(piece)

    def log_message(self, *_):
        pass


class OverHttp(io.RawIOBase):
    """A file on a web server, of which ranges are fetched."""

    def __init__(self, url: str) -> None:
        self.url, self.position = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self.size = int(answer.headers["Content-Length"])

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def read(self, size=-1):
        last = min(self.size, self.position + size) - 1
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={self.position}-{last}"})
        with urllib.request.urlopen(request) as answer:
            piece = answer.read()
        self.position += len(piece)
        return piece


@pytest.fixture
def server(tmp_path):
    handler = type("Counted", (Handler,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=tmp_path)) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_over_http(tiny, server, tmp_path, chelsea):
    """Opening fetches the header and the index, a region the tiles that it needs: both as far as a part of the file."""
    handler, url = server
    data = tiny.encode(np.tile(chelsea, (4, 3, 1)), 90, tile=64)
    (tmp_path / "large.cae").write_bytes(data)
    index = container.read(data).index
    with tiny.open(OverHttp(f"{url}/large.cae")) as picture:
        assert index[0].offset <= handler.fetched <= index[0].offset + READ_AHEAD < len(data) / 6
        before = handler.fetched
        expected = tiny.decode(data, region=(200, 1000, 64, 64))
        assert np.array_equal(picture.read((200, 1000, 64, 64)), expected)
        # the region, and the halo around it
        assert handler.fetched - before <= 16 * max(entry.length for entry in index)
        assert handler.fetched < len(data) / 5
        (tmp_path / "large.cae").unlink()
        with pytest.raises(codec.CaeError, match="cannot be read at"):
            picture.read()


def test_a_region_of_a_gigapixel(tiny, tiny_model):
    """Of 64 MB that the file has, header, index and four tiles at most are read."""
    file = Counting()
    header = Header(32768, 32768, 3, 50, 1024, tiny_model.id)
    writer = container.Writer(file, header, {})
    sound = smallest_file(1024, 1024, tiny_model.id, tile=1024)
    payload = container.read_payload(sound, container.read(sound), 0)
    filler = Payload(Kind.TRANSFORM, bytes(2**16))
    for number in range(header.tile_count):
        writer.add(payload if number // 32 in (9, 10) and number % 32 in (9, 10) else filler)
    writer.finish()
    with tiny.open(file) as picture:
        assert picture.size == (32768, 32768)
        opened = file.fetched
        assert opened <= 32 + 1024 * 17 + 4 + READ_AHEAD
        assert picture.read((10_230, 10_230, 20, 20)).shape == (20, 20, 3)
        assert file.fetched - opened == 4 * len(payload.data)


def test_memory_of_tiles_and_bands(tiny_model, tmp_path):
    """It does not grow with the height, and the file is not held; more pixels may pass than one array may have."""
    call = "with loaded.open(sys.argv[1]) as picture: all(True for _ in picture.{}()) and picture.read((0, 0, 9, 9))"
    for name in ("tiles", "bands"):
        low, high = (
            cost(smallest_file(512, height, tiny_model.id, tile=512), call.format(name), tmp_path) for height in (4096, 20480)
        )
        assert high[2] == low[2] == "done"
        assert high[0] < low[0] + 12


def test_more_pixels_than_the_limit_pass_in_bands(tiny_model, chelsea):
    limited = codec.Codec(weights=TINY, device="cpu", threads=1, pixels_max=2**24)
    with limited.open(smallest_file(128, 2**18, tiny_model.id, tile=2048)) as picture:
        with pytest.raises(codec.CaeError, match="more than the limit of 16777216"):
            picture.read()
        assert next(picture.bands()).shape[1:] == (128, 3)
        assert next(picture.tiles())[2].shape == (2048, 128, 3)
    wide = limited.open(smallest_file(2**19, 2048, tiny_model.id))
    for read in (wide.bands, wide.tiles):
        with pytest.raises(codec.CaeError, match="limit"):
            read()


def _read_tile(path, weights, queue):
    with codec.Codec(weights=weights, device="cpu", threads=2).open(path) as picture:
        queue.put(next(picture.tiles())[2].sum() + int(picture.read((0, 0, 9, 9)).sum()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_in_a_forked_process(tiny, path, data):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_tile, args=(path, TINY, queue))
    child.start()
    whole = tiny.decode(data)
    assert queue.get(timeout=100) == whole[:64, :64].sum() + int(whole[:9, :9].sum())
    child.join()
