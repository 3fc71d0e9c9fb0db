"""The conformance suite: its maker, its comparison, and that the reference decoder passes."""

import functools
import json
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from codec import CaeError, Codec, reference
from conformance import __main__ as runner
from conformance import make, suite
from conformance.png import read_png

CHOSEN = ("size-17x15", "lossless-2-channels-10-bits", "kinds-3-channels-12-bits", "refused-webp-size", "refused-cut-off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A few of the suite's files, made here."""
    made = tmp_path_factory.mktemp("suite")
    listed = {}
    for name in CHOSEN:
        make.make(made, name)
        listed |= suite.read_list(made)
    (made / suite.LIST).write_text(json.dumps({"files": listed}))
    return made


def test_the_reference_passes(folder, capsys):
    command = [sys.executable, reference.__file__, "{input}", "{weights}", "{output}"]
    status = runner.main(["--files", str(folder), "--", *command])
    said = capsys.readouterr().out
    assert status == 0 and "FAILED" not in said
    assert all(f"passed {name}.cae" in said for name in CHOSEN) and "5 of 5 files pass" in said
    assert runner.main(["--files", str(folder), "--only", "refused-*", "--", "false"]) == 0
    assert "2 of 2 files pass" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "facts"), suite.read_list(suite.FILES).items())
def test_committed_files(name, facts, tmp_path):
    """They are of the weights that ship, and the codec passes."""
    data, weights = (suite.FILES / name).read_bytes(), suite.ROOT / facts["weights"]
    decoder = _codec_of(weights)
    if "refused" in facts:
        with pytest.raises(CaeError):
            decoder.decode(data)
        return
    with decoder.open(data) as opened:
        pixels = opened.read().reshape(facts["height"], facts["width"], -1)
        reference.write_png(tmp_path / "out.png", reference.Picture(pixels, opened.depth, {}))
    assert suite.complaint(tmp_path / "out.png", facts, suite.FILES) is None


@functools.cache
def _codec_of(weights):
    return Codec(weights=weights, device="cpu", threads=1)


def test_all_files_are_committed():
    """With the shipped weights' names, of which there is one for each picture."""
    listed = suite.read_list(suite.FILES)
    names = set(listed) | {facts["png"] for facts in listed.values() if "png" in facts} | {suite.LIST}
    assert {path.name for path in suite.FILES.iterdir()} == names
    assert len([name for name in listed if name.startswith(("default-", "psnr-"))]) == 10
    assert sum("refused" in facts for facts in listed.values()) >= 15 and len(listed) >= 55


def test_others_fail(folder, capsys):
    """A command that refuses all, one that refuses nothing, and one that ends by a signal."""
    assert runner.main(["--files", str(folder), "--", "false", "{input}"]) == 1
    assert "FAILED size-17x15.cae: ended with status 1" in capsys.readouterr().out
    assert runner.main(["--files", str(folder), "--", "true", "{input}"]) == 1
    said = capsys.readouterr().out
    assert "wrote no picture" in said and "was not refused: " in said
    killing = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    assert runner.main(["--files", str(folder), "--", *killing]) == 1
    assert "was ended by signal 9" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "passes"), [(0, True), (16, True), (17, False)])
def test_limit_of_error(folder, tmp_path, error, passes):
    """1/255 of the largest value of 12 bits is 16."""
    facts = suite.read_list(folder)["kinds-3-channels-12-bits.cae"]
    pixels = read_png((folder / facts["png"]).read_bytes())
    place = np.unravel_index(pixels.argmin(), pixels.shape)
    pixels[place] += error
    reference.write_png(tmp_path / "out.png", reference.Picture(pixels, 12, {}))
    assert (suite.complaint(tmp_path / "out.png", facts, folder) is None) == passes


def test_lossless_pixels_and_alpha_are_exact(folder, tmp_path):
    facts = suite.read_list(folder)["lossless-2-channels-10-bits.cae"]
    pixels = reference.decode((folder / "lossless-2-channels-10-bits.cae").read_bytes()).pixels
    for change in (0, 1):
        reference.write_png(tmp_path / "out.png", reference.Picture(pixels + np.uint16(change), 10, {}))
        assert (suite.complaint(tmp_path / "out.png", facts, folder) is None) == (change == 0)
    reference.write_png(tmp_path / "out.png", reference.Picture(pixels[1:], 10, {}))
    assert "not (66, 70, 2) of depth 10" in suite.complaint(tmp_path / "out.png", facts, folder)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_png_files_of_pillow(tmp_path, chelsea, mode):
    """With filters of all kinds."""
    image = Image.fromarray(chelsea[:60, :70]).convert(mode)
    image.save(tmp_path / "x.png")
    assert np.array_equal(read_png((tmp_path / "x.png").read_bytes()), np.asarray(image).reshape(60, 70, -1))


@pytest.mark.parametrize("kind", range(5))
def test_png_filters_of_deep_samples(kind):
    """The inverse of each filter, as the PNG specification words it, byte by byte."""
    raw = np.random.default_rng(kind).integers(0, 256, (4, 5 * 6)).tolist()
    rows: list[list[int]] = []
    for row in raw:
        out: list[int] = []
        for x, value in enumerate(row):
            left, up = out[x - 6] if x >= 6 else 0, rows[-1][x] if rows else 0
            corner = rows[-1][x - 6] if rows and x >= 6 else 0
            paeth = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
            out.append((value + (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
        rows.append(out)
    packed = zlib.compress(b"".join(bytes([kind, *row]) for row in raw))
    chunks = (b"IHDR", struct.pack(">2I5B", 5, 4, 16, 2, 0, 0, 0)), (b"IDAT", packed)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I4s", len(body), name) + body + bytes(4) for name, body in chunks)
    assert np.array_equal(read_png(data), np.array(rows, np.uint8).reshape(4, 5, 3, 2).view(">u2")[..., 0])


@pytest.mark.parametrize("data", [b"", b"GIF89a" * 9, b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(30)])
def test_no_png(data):
    with pytest.raises(ValueError):
        read_png(data)


def test_png_that_is_cut_off(tmp_path):
    reference.write_png(tmp_path / "x.png", reference.Picture(np.zeros((9, 9, 3), np.uint8), 8, {}))
    data = (tmp_path / "x.png").read_bytes()
    for length in range(data.index(b"IEND") - 8):
        with pytest.raises(ValueError):
            read_png(data[:length])
