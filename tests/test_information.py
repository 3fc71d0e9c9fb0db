"""Facts about a file: kinds of tiles, where its bytes go, and whether its checksums match."""

import json

import numpy as np
import pytest

import codec
from benchmarks.core.metrics import ssimulacra2
from codec.commands import info as command
from codec.format import container
from codec.format.header import Plane
from codec.format.info import damaged_parts, describe
from codec.format.payload import split_payload
from codec.format.sources import Seekable

from .conftest import TINY
from .damage import damaged
from .forging import Counting
from .test_mode_decision import text


@pytest.fixture(scope="module")
def data(tiny, astronaut) -> bytes:
    """Three kinds of tiles, with alpha."""
    pixels = np.concatenate([text(256, 128), astronaut[60:188, 100:356]], 1)
    pixels = np.dstack([pixels, np.full(pixels.shape[:2], 200, np.uint8)])
    return tiny.encode(np.roll(pixels, 40, 1), 40, tile=128)


def test_kinds_and_parts(data):
    facts, file = codec.info(data), container.read(data)
    assert facts.kinds == {"transform": 1, "lossless": 1, "mixed": 2}
    assert sum(facts.parts.values()) == facts.bytes == len(data)
    assert facts.parts["header"] == 32 and facts.parts["metadata"] == 0 and facts.parts["index"] == 8 * 17 + 4
    alphas = [container.read_payload(data, file, tile, Plane.ALPHA).data for tile in range(4)]
    assert facts.parts["alpha"] == sum(map(len, alphas))
    parts = [split_payload(container.read_payload(data, file, tile), file.header.place(tile)) for tile in range(4)]
    assert facts.parts["lossless"] == sum(len(lossless) for lossless, _ in parts)
    assert facts.parts["transform"] == sum(
        len(transform) + 4 * bool(len(exact)) for exact, transform in parts if len(transform)
    )


def test_metadata_count_with_their_names(tiny, chelsea):
    with tiny.create(file := Counting(), (64, 64), "RGB", metadata={"exif": b"II*\0"}) as out:
        out.write(chelsea[:64, :64])
    assert codec.info(file.getvalue()).parts["metadata"] == 4 + 12


def test_little_is_read(data):
    source = Seekable(file := Counting(data + bytes(0)))
    assert describe(source) == codec.info(data)
    assert file.fetched < 2**14 + 100


def test_damage_is_named_without_decoding(data):
    broken = damaged(data, (1, Plane.ALPHA), (2, Plane.COLOUR))
    assert list(damaged_parts(Seekable(Counting(data)))) == []
    named = ["the alpha of tile 1 (x 128, y 0, 128 x 128)", "tile 2 (x 256, y 0, 128 x 128)"]
    assert [part.name for part in damaged_parts(Seekable(Counting(broken)))] == named


def test_the_command(data, tmp_path, capsys):
    path = tmp_path / "drawn.cae"
    path.write_bytes(data)
    command.main([str(path), "--check", "--bits", "--weights", str(TINY)])
    said = capsys.readouterr().out
    assert "1 transform, 1 lossless, 2 mixed" in said and "all checksums match" in said and "non-anchors" in said
    command.main([str(path), "--json", "--bits", "--weights", str(TINY)])
    facts = json.loads(capsys.readouterr().out)
    spent = sum(facts["transform_bits"].values()) / 8
    assert 0.98 * facts["parts"]["transform"] < spent + 4 * 2 <= facts["parts"]["transform"]
    path.write_bytes(damaged(data, (0, Plane.COLOUR)))
    with pytest.raises(SystemExit, match="1 tile is damaged"):
        command.main([str(path), "--check", "--json"])
    assert json.loads(capsys.readouterr().out)["damaged"] == ["tile 0 (x 0, y 0, 128 x 128)"]


def test_the_command_tells_what_score_to_expect(tmp_path, capsys, chelsea):
    """Where the model says it; on a crop of a photograph it is not far off."""
    for name, codec_ in (("default.cae", codec.Codec(device="cpu")), ("tiny.cae", codec.Codec(weights=TINY, device="cpu"))):
        (tmp_path / name).write_bytes(codec_.encode(chelsea, 60))
    command.main([str(tmp_path / "default.cae")])
    assert "expected score  60 points" in capsys.readouterr().out
    command.main(["--json", str(tmp_path / "tiny.cae")])
    assert json.loads(capsys.readouterr().out)["expected_score"] is None
    decoded = codec.decode((tmp_path / "default.cae").read_bytes(), device="cpu")
    assert abs(ssimulacra2(chelsea, decoded) - 60) < 10
