"""Pages that decode a picture themselves, in a real browser."""

import io
import re
import time

import numpy as np
import pytest
from PIL import Image

import codec
from codec.commands import decode
from codec.web.page import make_page
from conformance.png import read_png

from .browsers import needs_browser, start_browser, until
from .conftest import DATA, TINY

pytestmark = needs_browser

SMALL = DATA / "tiny_gray_alpha_v1.cae"
STATE = "return document.body.dataset.state"
ORIENTED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""An EXIF block of the orientation 6: the first column is the top row."""


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, downloads):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    yield driver
    driver.quit()


def show(browser, folder, data, name="picture.cae"):
    """Opens the page of a file and waits for the picture or a message; gives which of these it is."""
    path = folder / "page.html"
    path.write_text(make_page(TINY, name, data))
    browser.get(path.as_uri())
    return settled(browser)


def settled(browser):
    return until(browser, "const { state } = document.body.dataset; return state !== 'decoding' && state")


def size_of(browser):
    return browser.execute_script("const [image] = document.images; return [image.naturalWidth, image.naturalHeight]")


def status(browser):
    return browser.find_element("id", "status").text


def facts(browser):
    browser.execute_script("document.querySelector('details').open = true")
    return browser.find_element("id", "facts").text


def test_the_command_writes_a_page_that_shows_the_picture(browser, tmp_path):
    decode.main([str(SMALL), str(tmp_path / "small.html"), "--weights", str(TINY)])
    browser.get((tmp_path / "small.html").as_uri())
    assert settled(browser) == "shown"
    assert browser.title == "tiny_gray_alpha_v1.cae"
    assert size_of(browser) == [77, 90]
    assert "77 \u00d7 90 pixels" in (text := facts(browser)) and "gray and alpha, 8 bits" in text and "916 bytes" in text
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("option", ["--region=0,0,9,9", "--scale=1/2", "--keep-going", "--strip", "--decoder=other"])
def test_a_page_is_refused_for_parts_of_a_file(tmp_path, capsys, option):
    with pytest.raises(SystemExit) as end:
        decode.main([str(SMALL), str(tmp_path / "small.html"), option])
    assert end.value.code == 2 and "page" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_no_page_is_made_of_a_damaged_file(tmp_path):
    (tmp_path / "bad.cae").write_bytes(SMALL.read_bytes()[:-1])
    with pytest.raises(
        SystemExit, match=r"bad\.cae: .*cut off.*; get the file again, or decode it to an image with --keep-going"
    ):
        decode.main([str(tmp_path / "bad.cae"), str(tmp_path / "bad.html"), "--weights", str(TINY)])
    assert not (tmp_path / "bad.html").exists()


def test_saving_gives_all_bits_and_metadata(browser, tmp_path, downloads):
    pixels = np.arange(50 * 60 * 3, dtype=np.uint16).reshape(50, 60, 3) % 4096
    profile = bytes(range(256)) * 2
    metadata = {"exif": ORIENTED, "xmp ": "<x>ü</x>".encode(), "iccp": profile}
    data = codec.Codec(weights=TINY, device="cpu").encode(pixels, lossless=True, depth=12, metadata=metadata)
    assert show(browser, tmp_path, data, "deep.cae") == "shown"
    browser.find_element("id", "save").click()
    target, ends = downloads / "deep.png", time.monotonic() + 60
    while not target.exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert np.array_equal(read_png(target.read_bytes()), pixels)
    with Image.open(io.BytesIO(target.read_bytes())) as image:
        assert image.info["icc_profile"] == profile and image.getexif()[274] == 6
        assert "<x>" in str(image.info["xmp"])


def test_turned_pictures_stand_upright(browser, tmp_path):
    data = codec.Codec(weights=TINY, device="cpu").encode(np.zeros((20, 50, 3), np.uint8), metadata={"exif": ORIENTED})
    assert show(browser, tmp_path, data) == "shown"
    assert size_of(browser) == [20, 50]


@pytest.mark.parametrize("place", [3, 10, 40, 200, -1])
def test_a_damaged_file_gets_a_plain_message(browser, tmp_path, place):
    data = bytearray(SMALL.read_bytes())
    data[place] ^= 1
    assert show(browser, tmp_path, bytes(data), "photo.cae") == "failed"
    assert re.match(r"photo\.cae: (this is no|the header is|the tile index is|tile \d is)", status(browser)), status(browser)
    assert not browser.find_element("id", "save").is_enabled()


def test_a_file_of_another_model_is_named(browser, tmp_path):
    assert show(browser, tmp_path, (DATA / "psnr_astronaut_v1.cae").read_bytes()) == "failed"
    assert "needs the weights with id" in status(browser)


def test_files_can_be_chosen_one_after_another(browser, tmp_path):
    (tmp_path / "page.html").write_text(make_page(TINY))
    browser.get((tmp_path / "page.html").as_uri())
    assert "Drop a .cae file here" in status(browser)
    (tmp_path / "bad.cae").write_bytes(b"no picture")
    for path, state in ((SMALL, "shown"), (tmp_path / "bad.cae", "failed"), (DATA / "tiny_rgb_v1.cae", "shown")):
        browser.find_element("id", "chosen").send_keys(str(path))
        until(browser, f"return document.title === '{path.name}'")
        assert settled(browser) == state
    assert "201 \u00d7 150 pixels" in facts(browser)


def test_zoom_and_narrow_screens(browser, tmp_path):
    scale = "return document.images[0].getBoundingClientRect().width / document.images[0].naturalWidth"
    assert show(browser, tmp_path, (DATA / "tiny_rgb_v1.cae").read_bytes()) == "shown"
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 150, "height": 700, "deviceScaleFactor": 3, "mobile": True}
    )
    try:
        until(browser, f"{scale} < 0.8")
        assert browser.execute_script(scale) == pytest.approx(150 / 201, rel=0.01)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 200
        browser.find_element("id", "full-size").click()
        assert browser.execute_script(scale) == pytest.approx(1 / 3, rel=0.01)
        for _ in range(3):
            browser.find_element("id", "nearer").click()
        assert browser.execute_script(scale) == pytest.approx(1.25**3 / 3, rel=0.01)
        browser.find_element("id", "whole").click()
        assert browser.execute_script(scale) == pytest.approx(150 / 201, rel=0.01)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
