"""Pictures a second under a DataLoader."""

import multiprocessing

import pytest
import skimage.data
from PIL import Image

from benchmarks.__main__ import main


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_both_formats_are_loaded(tmp_path, capsys):
    for number, picture in enumerate((skimage.data.chelsea(), skimage.data.astronaut())):
        Image.fromarray(picture[:70, :80]).save(tmp_path / f"{number}.png")
    main(
        ["dataset", str(tmp_path), "--count", "3", "--workers", "1", "--start", "fork", "--shorter-side", "32", "--crop", "32"]
    )
    names, cae, jpeg = (line.split() for line in capsys.readouterr().out.splitlines())
    for row in (dict(zip(names, line, strict=True)) for line in (cae, jpeg)):
        assert row["start"] == "fork" and row["crop"] == "32"
        assert all(float(row[name]) > 0 for name in ("bpp", "first_s", "pictures_per_s"))
    assert (cae[0], jpeg[0]) == ("cae", "jpeg")
