"""Files read by pieces: what is fetched of them, and what is said where they fail or change meanwhile."""

import io
import os
import threading
import zlib

import pytest

from codec import CaeError
from codec.format import container
from codec.format.header import Header, Kind
from codec.format.payload import Payload
from codec.format.sources import READ_AHEAD, FileSource, Seekable, open_source

from .forging import Counting, cost

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    return file


@pytest.mark.parametrize("kind", ["path", "name", "file", "unbuffered", "BytesIO", "bytes", "memoryview"])
def test_pieces(path, kind):
    with open(path, "rb") as file, open(path, "rb", buffering=0) as unbuffered:
        origin = {
            "path": path,
            "name": str(path),
            "file": file,
            "unbuffered": unbuffered,
            "BytesIO": io.BytesIO(CONTENT),
            "bytes": CONTENT,
            "memoryview": memoryview(CONTENT),
        }[kind]
        with open_source(origin) as source:
            assert source.size == len(CONTENT)
            for offset, length in ((0, 10), (25_590, 10), (300, 5000), (7, 0), (25_600, 0)):
                assert bytes(source.read(offset, length)) == CONTENT[offset : offset + length]
            with pytest.raises(CaeError, match="cut off: 25600 of 25601 bytes"):
                source.read(25_599, 2)
        with pytest.raises(CaeError, match="closed"):
            source.read(0, 1)
        assert not file.closed


def test_a_file_that_gives_little_at_a_time():
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    assert Seekable(Slow(CONTENT)).read(100, 1000) == CONTENT[100:1100]


@pytest.mark.parametrize("opened", [FileSource, lambda path: Seekable(path.open("rb"), owned=True)])
@pytest.mark.parametrize("change", [1, -1, -25_600])
def test_a_file_that_grows_or_shrinks(path, opened, change):
    with opened(path) as source:
        source.read(0, 10)
        os.truncate(path, len(CONTENT) + change)
        verb = "grown" if change > 0 else "shrunk"
        with pytest.raises(CaeError, match=f"has {verb} from 25600 to {25_600 + change} bytes since it was opened; open it"):
            source.read(0, 10)


def test_a_file_whose_place_another_takes(path, tmp_path):
    with FileSource(path) as source:
        other = tmp_path / "other"
        other.write_bytes(b"short")
        os.replace(other, path)
        assert source.read(25_000, 600) == CONTENT[25_000:]


class Failing(io.BytesIO):
    def __init__(self, error):
        super().__init__(CONTENT)
        self.error = error

    def read(self, _=-1):
        if isinstance(self.error, Exception):
            raise self.error
        return self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error"), "cannot be read at 3 .*Input/output error"),
        (KeyError(), "cannot be read at 3 .KeyError"),
        (b"", "gives no bytes at 3"),
        (None, "gives no bytes at 3"),
        (b"more than five", "gives too many bytes"),
        ("text", "gives str, not bytes; open it in binary mode"),
    ],
)
def test_files_that_fail(error, message):
    with pytest.raises(CaeError, match=message):
        Seekable(Failing(error)).read(3, 5)


def test_a_file_that_its_owner_closes(path):
    with open(path, "rb") as file:
        source = open_source(file)
    with pytest.raises(CaeError, match="closed file"):
        source.read(0, 1)
    with pytest.raises(CaeError, match="cannot be read"):
        open_source(file)


def test_what_cannot_be_read(tmp_path, path):
    for wrong, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "none", "none: No such file"),
        ("a\0b", "null"),
        (7, "an? int is no file's bytes"),
        (None, "NoneType"),
    ):
        with pytest.raises(CaeError, match=message):
            open_source(wrong)
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb"), pytest.raises(CaeError, match="does not seek; read it first"):
        open_source(pipe)
    with open(path) as text, pytest.raises(CaeError, match="binary mode"):
        open_source(text).read(0, 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CaeError, match="pipe: is not a regular file"):
        open_source(tmp_path / "pipe")


def test_descriptors_are_given_back(path):
    """Also where a file is opened and forgotten, or closed while another thread reads."""
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else pytest.skip("counts as Linux shows them")
    for _ in range(20):
        FileSource(path)
        source = FileSource(path)
        reader = threading.Thread(target=source.read, args=(0, 1000))
        reader.start()
        reader.join()
        source.close()
    assert len(os.listdir("/proc/self/fd")) == before


def large(tile: int, length: int) -> io.BytesIO:
    """A gigapixel whose tiles all have payloads of zeros, of a length each."""
    file = Counting()
    header = Header(32768, 32768, 3, 50, tile, b"model id")
    writer = container.Writer(file, header, {"exif": b"II*\0", "xmp ": b"<x/>"})
    payload = Payload(Kind.TRANSFORM, bytes(length))
    for _ in range(header.tile_count):
        writer.add(payload)
    writer.finish()
    return file


@pytest.mark.parametrize(("tile", "length"), [(1024, 2**16), (64, 4)])
def test_of_a_gigapixel_only_header_and_index_are_read(tile, length):
    file = large(tile, length)
    parsed = container.read(Seekable(file))
    before_payloads = parsed.index[0].offset
    assert len(parsed.index) == parsed.header.tile_count == (32768 // tile) ** 2
    assert before_payloads <= file.fetched <= before_payloads + READ_AHEAD
    assert file.requests <= 8
    container.read_payload(Seekable(file), parsed, 5)
    assert file.fetched <= before_payloads + READ_AHEAD + length


def test_opening_takes_the_memory_of_the_index(tmp_path, tiny_model):
    file = large(1024, 2**16).getvalue()
    call = "from codec.format import container, sources; container.read(sources.FileSource(sys.argv[1]))"
    megabytes, seconds, said = cost(file, call, tmp_path)
    assert said == "done"
    assert megabytes < 4 and seconds < 1


def test_claims_beyond_the_file_are_refused_unread():
    """The index of the largest picture there can be would take 19 exabytes."""
    header = Header(2**31 - 1, 2**31 - 1, 3, 50, 64, b"model id")
    file = Counting()
    container.Writer(file, Header(1, 1, 3, 50, 64, b"model id"), {})
    forged = bytes(file.getbuffer()[:8]) + header.width.to_bytes(4, "little") * 2 + bytes(file.getbuffer()[16:28])
    file = Counting(forged + zlib.crc32(forged).to_bytes(4, "little") + bytes(2**20))
    with pytest.raises(CaeError, match="cut off in its tile index"):
        container.read(Seekable(file))
    assert file.fetched <= READ_AHEAD


def test_a_broken_index_of_nothing_is_not_held(tmp_path):
    """A sparse file as large as its header claims, whose index is zeros: it is read, but no more of it kept than is sound."""
    file = Counting()
    container.Writer(file, Header(2**17, 2**17, 3, 50, 64, b"model id"), {})
    path = tmp_path / "sparse.cae"
    path.write_bytes(file.getvalue())
    os.truncate(path, 2**17)
    call = (
        "from codec.format import container, sources; import os; os.truncate(sys.argv[1], 2**27); "
        "container.read(sources.FileSource(sys.argv[1]))"
    )
    megabytes, _, said = cost(path.read_bytes(), call, tmp_path)
    assert "index is damaged" in said or "does not begin" in said
    assert megabytes < 16


def test_indices_of_several_pieces_are_checked_throughout():
    header = Header(300, 300, 4, 50, 64, b"model id")
    payloads = [Payload(kind, bytes(4 * n)) for n in range(1, 26) for kind in (Kind.TRANSFORM, Kind.LOSSLESS)]
    file = container.write(header, {}, payloads)
    parsed = container.read(file, entries_at_once=3)
    assert [container.read_payload(file, parsed, tile, plane).data for tile in range(25) for plane in header.planes] == [
        payload.data for payload in payloads
    ]
    for number in (0, 2, 3, 17, 49):
        wrong = [Payload(Kind.TRANSFORM, b"odd") if n == number else each for n, each in enumerate(payloads)]
        with pytest.raises(CaeError, match=f"tile {number // 2} "):
            container.read(container.write(header, {}, wrong), entries_at_once=3)
