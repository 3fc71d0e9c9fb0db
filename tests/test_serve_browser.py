"""The viewer in a real browser, where there is one."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from .browsers import needs_browser, start_browser, until
from .test_serve import end, start

pytestmark = needs_browser

CANVAS = "const canvas = document.querySelector('#picture canvas');"
LOADED = "return window.viewer && viewer.world.getItemCount() && viewer.world.getItemAt(viewer.world.getItemCount() - 1)"


@pytest.fixture(scope="module")
def pixels(chelsea):
    return np.tile(chelsea, (4, 3, 1))


@pytest.fixture(scope="module")
def served(tmp_path_factory, tiny, pixels):
    """A folder of two pictures, and the address of their list."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "tall.cae").write_bytes(tiny.encode(pixels, 50))
    (folder / "small.cae").write_bytes(tiny.encode(pixels[:64, :64, 0], 50))
    process, port = start(folder)
    yield folder, f"http://127.0.0.1:{port}/"
    assert end(process)[1] == 143


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def open_first(browser, served):
    browser.get(served[1])
    browser.find_element("partial link text", "tall.cae").click()
    until(browser, f"{LOADED}.getFullyLoaded()")


def test_the_list_shows_thumbnails(browser, served):
    browser.get(served[1])
    until(browser, "return [...document.images].every((image) => image.complete && image.naturalWidth)")
    sizes = browser.execute_script("return [...document.images].map((image) => [image.naturalWidth, image.naturalHeight])")
    assert sizes[0] == [64, 64] and sizes[1][0] == 320 and sizes[1][1] in (283, 284)
    assert browser.find_element("tag name", "body").text.count("megapixels") == 2


def test_the_middle_at_full_size_is_what_decode_gives(browser, served, tiny, pixels):
    """The canvas' pixels around the picture's middle, one of the screen's for each."""
    open_first(browser, served)
    browser.find_element("id", "full-size").click()
    until(
        browser, f"{LOADED}.getFullyLoaded() && Math.abs(viewer.viewport.getZoom(true) - viewer.viewport.getZoom(false)) < 1e-9"
    )
    # the screen's pixels on the picture's
    sides = browser.execute_script(CANVAS + "return [canvas.width, canvas.height]")
    place = [length // 2 + side % 2 / 2 for length, side in zip(pixels.shape[1::-1], sides, strict=True)]
    browser.execute_script("location.hash = arguments[0]", f"{place[0]},{place[1]},1")
    until(browser, f"{LOADED}.getFullyLoaded()")
    time.sleep(0.5)
    data = browser.execute_script(CANVAS + "return canvas.toDataURL().split(',')[1]")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    middle = shown[shown.shape[0] // 2 - 100 :][:200, shown.shape[1] // 2 - 100 :][:, :200]
    whole = tiny.decode((served[0] / "tall.cae").read_bytes())
    y, x = (side // 2 - 100 for side in whole.shape[:2])
    assert any(
        np.array_equal(middle, whole[y + down : y + down + 200, x + right : x + right + 200])
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    )


def test_tools_and_keys(browser, served):
    open_first(browser, served)
    home = browser.execute_script("return viewer.viewport.getZoom(false)")
    for name, factor in (("nearer", 2), ("further", 1), ("full-size", None), ("whole", 1)):
        button = browser.find_element("id", name)
        assert button.get_attribute("aria-label")
        button.click()
        zoom = browser.execute_script("return viewer.viewport.getZoom(false)")
        assert zoom == pytest.approx(factor * home) if factor else zoom > home
    until(browser, "return location.hash.split(',').length === 3")


def test_full_size_of_a_picture_smaller_than_the_window(browser, served):
    browser.get(served[1])
    browser.find_element("partial link text", "small.cae").click()
    until(browser, f"{LOADED}.getFullyLoaded()")
    browser.find_element("id", "full-size").click()
    until(browser, "return document.getElementById('place').textContent.startsWith('100 %')")


@pytest.mark.parametrize("orientation", [2, 4, 5, 6, 7])
def test_mirrored_and_turned_pictures(browser, served, tiny, orientation):
    """Corners of four grays appear where Pillow turns them to."""
    image = Image.fromarray(np.kron(np.uint8([[0, 80], [160, 240]]), np.ones((32, 32), np.uint8)))
    image.getexif()[274] = orientation
    path = served[0] / "turned.cae"
    path.write_bytes(tiny.encode(image, lossless=True))
    try:
        browser.get(served[1])
        browser.find_element("partial link text", "turned.cae").click()
        until(browser, f"{LOADED}.getFullyLoaded()")
        time.sleep(0.5)
        data = browser.execute_script(CANVAS + "return canvas.toDataURL().split(',')[1]")
        height, width = (shown := np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))).shape
        corners = shown[height // 2 + np.int64([-50, 50])[:, None], width // 2 + np.int64([-50, 50])]
        assert np.array_equal(corners, np.asarray(ImageOps.exif_transpose(image))[::63, ::63])
    finally:
        path.unlink()
        open_first(browser, served)


def test_a_telephone(browser, served):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    for address in (served[1], browser.current_url):
        browser.get(address)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    open_first(browser, served)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_goes_wrong_in_the_console(browser):
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
