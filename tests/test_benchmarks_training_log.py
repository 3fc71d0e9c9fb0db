"""The page's curves of a training run."""

import numpy as np
import pytest

from benchmarks.page import training_log
from benchmarks.page.training_log import read, section, smoothed
from codec import CaeError

HEAD = "step,hours,loss,bpp,psnr,validation_loss\n"


def test_a_log_becomes_a_section(tmp_path):
    run = tmp_path / "<b>mine"
    run.mkdir()
    lines = [
        f"{100 * number},{number / 10},{3 - number / 100},0.9,28,{'2.5' if number % 20 == 0 else ''}" for number in range(200)
    ]
    (run / "log.csv").write_text(HEAD + "\n".join(lines) + "\n")
    columns = read(run)
    assert np.isfinite(columns["validation_loss"]).sum() == 10 and columns["loss"][0] == 3
    titles = [axes.get_title() for axes in training_log.figure(columns).axes]
    assert titles == ["loss", "validation loss", "bits per pixel", "PSNR, dB"]
    text = section(run)
    assert "19,900 steps in 19.90 hours" in text and "<b>" not in text and text.count("<svg") == 1
    assert section(None) == "" and section(run) == text


def test_running_means():
    assert np.allclose(smoothed(np.arange(100.0)), np.arange(99) + 0.5)
    assert np.allclose(smoothed(np.arange(5.0)), np.arange(5))


@pytest.mark.parametrize("content", [None, "", HEAD, "a,b\n1,2\n", HEAD + "1,2\n", HEAD + "1,2,x,4,5,6\n"])
def test_other_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "log.csv").write_text(content)
    with pytest.raises(CaeError, match=r"log\.csv"):
        read(tmp_path)
