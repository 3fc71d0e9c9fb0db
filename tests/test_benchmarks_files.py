"""Pictures a second of folders."""

import skimage.data
from PIL import Image

from benchmarks.__main__ import main


def test_files_are_coded_and_decoded(tmp_path, capsys):
    for number, picture in enumerate((skimage.data.chelsea(), skimage.data.astronaut())):
        Image.fromarray(picture[:40, :50]).save(tmp_path / f"{number}.png")
    main(["files", str(tmp_path), "--count", "3", "--codecs", "jpeg", "cae", "--threads", "1"])
    names, jpeg, cae = (line.split() for line in capsys.readouterr().out.splitlines())
    for row in (dict(zip(names, line, strict=True)) for line in (jpeg, cae)):
        assert all(float(row[name]) > 0 for name in names[1:])
    assert (jpeg[0], cae[0]) == ("jpeg", "cae")
