"""The HTML page: its parts without a browser, and all of it in one."""

import base64
import copy
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from benchmarks import __main__ as command
from benchmarks.codecs import registry
from benchmarks.core import images
from benchmarks.page import page, pictures
from benchmarks.page import parts as page_parts

BROWSER = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
SETTINGS = ("jpeg=5,20,50,80", "webp=5,30,60,90", "jpeg-444=5,20,50,80")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures, one wider than a crop; one with a name that would be markup."""
    made = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(3)
    for name, shape in (("wide", (120, 560, 3)), ("<i>tall", (200, 150, 3))):
        part = noise.normal(size=shape)
        smooth = ndimage.gaussian_filter(part, (3, 3, 0)) * 12 + part * 0.1
        Image.fromarray(np.clip(128 + 40 * smooth, 0, 255).astype(np.uint8)).save(made / f"{name}.png")
    return made


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    """The output of one run."""
    made = tmp_path_factory.mktemp("out")
    settings = [text for setting in SETTINGS for text in ("--settings", setting)]
    chosen = ["--codecs", "jpeg,webp,jpeg-444", "--metrics", "psnr_rgb,psnr_y", "--jobs", "1", "--out", str(made)]
    command.main(["run", str(folder), *settings, *chosen])
    return made


@pytest.fixture(scope="module")
def everything(out):
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def embedded(path, name):
    """The JSON of one of the page's data elements."""
    start = f'<script type="application/json" id="{name}">'
    return json.loads(path.read_text(encoding="utf-8").split(start)[1].split("</script>")[0])


def pixels_of(uri):
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGB"))


def test_run_writes_the_page(out):
    text = (out / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert len(text) < 10e6
    assert "<i>tall" not in text
    for tag in ('src="http', 'href="http', "@import", "url("):
        assert tag not in text.replace(page.get_plotlyjs(), ""), tag


def test_curves_are_the_points(out, everything):
    data = embedded(out / "page.html", "curves-data")
    assert data["images"] == [image["name"] for image in everything["images"]]
    for curve, series in zip(everything["mean_curves"], data["series"], strict=True):
        assert series["lines"][0]["bpp"] == pytest.approx(curve["bpp"], abs=1e-5)
        for place, image in enumerate(everything["images"], start=1):
            own = [p for p in everything["points"] if p["codec"] == curve["name"] and p["digest"] == image["digest"]]
            values = series["lines"][place]["values"]["psnr_y"]
            assert sorted(values) == pytest.approx(sorted(point["metrics"]["psnr_y"] for point in own), abs=1e-4)


def test_pictures_are_what_the_codec_decodes(out, everything, folder):
    shown = embedded(out / "page.html", "pictures-data")
    assert [picture["name"] for picture in shown["images"]] == ["<i>tall", "wide"]
    known, samples = registry(), {item.name: item for item in images.from_folder(folder)}
    for picture in shown["images"]:
        pixels = samples[picture["name"]].load()
        height, width = (min(512, side) for side in pixels.shape[:2])
        left = (pixels.shape[1] - width) // 2
        assert np.array_equal(pixels_of(shown["uris"][picture["original"]]), pixels[:height, left : left + width])
        for name, files in picture["codecs"].items():
            for rate, file in zip(shown["rates"], files, strict=True):
                points = [p for p in everything["points"] if p["codec"] == name and p["image"] == picture["name"]]
                point = min(points, key=lambda point: max(point["bpp"] / rate, rate / point["bpp"]))
                assert (file["setting"], file["bytes"]) == (point["setting"], point["bytes"])
                assert file["psnr"] == pytest.approx(point["metrics"]["psnr_rgb"])
                decoded = known[name].decode(known[name].encode(pixels, file["setting"]))
                assert np.array_equal(pixels_of(shown["uris"][file["place"]]), decoded[:height, left : left + width])


def test_page_command(out, folder, tmp_path, capsys):
    shutil.copy(out / "results.json", tmp_path)
    command.main(["page", str(tmp_path), str(folder), "--pictures", "wide"])
    assert "page.html" in capsys.readouterr().out
    assert [picture["name"] for picture in embedded(tmp_path / "page.html", "pictures-data")["images"]] == ["wide"]
    command.main(["page", str(tmp_path), "--pictures", "none"])
    assert embedded(tmp_path / "page.html", "pictures-data")["images"] == []


def test_page_can_be_left_out(folder, tmp_path):
    options = ["--codecs", "jpeg", "--metrics", "psnr_y", "--jobs", "1", "--settings", "jpeg=20,50", "--no-page"]
    command.main(["run", str(folder), "--out", str(tmp_path), *options])
    assert (tmp_path / "results.json").is_file()
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "no such file; the command run makes it"),
        ("[]", [], "holds no results"),
        ('{"schema": 0}', [], "has schema 0"),
        ("", ["--pictures", "nobody"], "there is no image 'nobody'"),
        ("", ["--pictures", "wide"], "the image wide of the results is not there: name its folder"),
    ],
)
def test_errors_are_one_line(out, tmp_path, content, arguments, message):
    if content is not None:
        (tmp_path / "results.json").write_text(content or (out / "results.json").read_text(), encoding="utf-8")
    with pytest.raises(SystemExit) as error:
        command.main(["page", str(tmp_path), *arguments])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_picture_ends_a_run_at_once(folder, tmp_path):
    with pytest.raises(SystemExit, match="there is no image 'nobody'"):
        command.main(["run", str(folder), "--out", str(tmp_path), "--codecs", "jpeg", "--pictures", "nobody"])
    assert not (tmp_path / "points.jsonl").exists()


def test_codecs_that_cannot_be_shown_are_told(everything, folder, tmp_path):
    known = registry()
    changed = copy.deepcopy(everything)
    changed["codecs"][1]["version"] = "0"
    del known["jpeg-444"]
    text = page.write(changed, tmp_path, images.from_folder(folder), known).read_text(encoding="utf-8")
    assert "this page was made where its version is" in text
    assert "its weights or checkpoints were not named" in text
    assert list(embedded(tmp_path / "page.html", "pictures-data")["images"][0]["codecs"]) == ["jpeg"]


def test_published_curves_are_marked(everything):
    changed = copy.deepcopy(everything)
    curve = {**changed["mean_curves"][0], "name": "B", "label": "B & W", "settings": [], "source": "a <book>"}
    changed["mean_curves"].append(curve)
    comparison = {**changed["bd_rate"]["comparisons"][0], "codec": "B", "label": "B & W", "published": True}
    changed["bd_rate"]["comparisons"].append({**comparison, "mean_of_image_bd_rates": None, "notes": ["mean curve: doubtful"]})
    assert "<strong>B &amp; W</strong>: a &lt;book&gt;" in page_parts.sources(changed)
    table = page_parts.bd_table(changed)
    assert 'B &amp; W <span class="badge">published</span>' in table
    assert '<li id="note-1">Doubtful</li>' in table
    assert "marked <em>published</em>" in page_parts.introduction(changed)


def test_gaps_are_told(everything):
    changed = {**everything, "missing": {"heic": "needs x"}, "failures": ["jpeg at 5 on one: too <large>"]}
    text = page_parts.gaps(changed, {"jpeg": "gone"})
    for part in (
        "heic</strong> was not measured: needs x.",
        "too &lt;large&gt;",
        "JPEG 4:2:0</strong> has no pictures here: gone",
    ):
        assert part in text


def test_nothing_to_compare(everything):
    alone = {**everything, "bd_rate": {**everything["bd_rate"], "comparisons": []}}
    assert "nothing to compare" in page_parts.bd_table(alone)


def test_nearest_is_a_ratio():
    points = [{"bpp": bpp, "setting": bpp} for bpp in (0.1, 0.4)]
    assert pictures.nearest(points, 0.21)["bpp"] == 0.4
    assert pictures.nearest(points, 0.19)["bpp"] == 0.1


def test_pictures_fit_their_budget():
    noise = np.random.default_rng(4).integers(0, 256, (2, 300, 300, 3), dtype=np.uint8)
    uris, side = pictures.embed(noise, 300_000)
    assert sum(map(len, uris)) <= 300_000
    assert 128 <= side < 300
    start = (300 - side) // 2
    assert np.array_equal(pixels_of(uris[1]), noise[1, start : start + side, start : start + side])


def test_other_bytes_than_measured_are_told(everything, folder):
    changed = copy.deepcopy(everything)
    for point in changed["points"]:
        point["bytes"] += 1
    samples = {item.digest: item for item in images.from_folder(folder)}
    with pytest.warns(UserWarning, match="as when it was measured"):
        pictures.make(changed, changed["images"][:1], samples, [registry()["jpeg"]])


@pytest.fixture(scope="module")
def browser(out, tmp_path_factory):
    """The page, opened in a fresh browser that keeps its console and its requests."""
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    switches = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
    )
    for switch in (*switches.split(), "disable-sync", "window-size=1280,900"):
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get((out / "page.html").as_uri())
    yield driver
    driver.quit()


def by_id(browser, name):
    return browser.find_element("id", name)


def choose(browser, name, value):
    """Selects an option by its value, as a user would."""
    from selenium.webdriver.support.ui import Select

    Select(by_id(browser, name)).select_by_value(str(value))


def curves_drawn(browser):
    """For each visible curve in the chart its name and number of markers."""
    return browser.execute_script(
        "const chart = document.getElementById('chart');"
        "return chart.data.filter((trace) => trace.visible).map((trace, place) =>"
        "[trace.name, chart.querySelectorAll('.scatterlayer .trace')[place].querySelectorAll('path.point').length])"
    )


def test_browser_draws_the_curves(browser, everything):
    expected = [[codec["label"], len(codec["settings"])] for codec in everything["codecs"]]
    assert [name for name, _ in curves_drawn(browser)] == [name for name, _ in expected]
    # markers beyond the axes are cut off, so not each point has one
    assert all(2 < markers <= points for (_, markers), (_, points) in zip(curves_drawn(browser), expected, strict=True))
    heights = "return document.getElementById('chart').data[0].y"
    before = browser.execute_script(heights)
    choose(browser, "metric", "psnr_y")
    after = browser.execute_script(heights)
    assert after != before
    assert after == pytest.approx(everything["mean_curves"][0]["values"]["psnr_y"], abs=1e-4)
    assert "luma" in by_id(browser, "axis").text
    choose(browser, "picture-of-curve", 1)
    assert browser.execute_script(heights) != after
    button = browser.find_element("css selector", "#legend button")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert everything["codecs"][0]["label"] not in dict(curves_drawn(browser))
    button.click()


def column(browser, place):
    """The texts of a column of the table."""
    return [row.find_elements("css selector", "th, td")[place].text for row in rows(browser)]


def rows(browser):
    return browser.find_elements("css selector", "#bd tbody tr")


def test_browser_shows_and_sorts_bd_rates(browser, everything):
    def percent(value):
        return f"{value:+.1f} %".replace("-", "\N{MINUS SIGN}")

    compared = everything["bd_rate"]["comparisons"]
    assert column(browser, 0)
    for row in rows(browser):
        texts = [cell.text for cell in row.find_elements("css selector", "th, td")]
        own = [item for item in compared if item["label"] == texts[0]]
        expected = [item[field] for item in own for field in ("mean_of_image_bd_rates", "bd_rate_of_mean_curve")]
        assert len(expected) == 4
        for text, value in zip(texts[1:], expected, strict=True):
            assert text.startswith(percent(value) if value is not None else "—")
    heads = browser.find_elements("css selector", "#bd thead tr:last-child th")
    for order, step in (("ascending", 1), ("descending", -1)):
        heads[4].find_element("tag name", "button").click()
        assert heads[4].get_attribute("aria-sort") == order
        values = {item["label"]: item["bd_rate_of_mean_curve"] for item in compared if item["metric"] == "psnr_y"}
        assert column(browser, 0) == sorted(values, key=values.__getitem__)[::step]
    heads[0].find_element("tag name", "button").click()
    assert column(browser, 0) == ["JPEG 4:4:4", "WebP"]


def clip(browser):
    return browser.execute_script("return getComputedStyle(document.getElementById('left-layer')).clipPath")


def test_browser_moves_the_slider(browser):
    from selenium.webdriver import ActionChains, Keys

    position = by_id(browser, "position")
    assert position.get_attribute("aria-label")
    assert clip(browser) == "inset(0px 50% 0px 0px)"
    position.send_keys(Keys.ARROW_LEFT)
    assert clip(browser) == "inset(0px 51% 0px 0px)"
    by_id(browser, "rate").location_once_scrolled_into_view  # noqa: B018 (scrolls)
    ActionChains(browser).drag_and_drop_by_offset(by_id(browser, "divider"), -40, 0).perform()
    assert int(position.get_property("value")) < 49
    assert clip(browser) == f"inset(0px {100 - int(position.get_property('value'))}% 0px 0px)"


def shown_facts(browser, side):
    return by_id(browser, f"{side}-facts").text.replace("\n", " ")


def test_browser_shows_what_was_measured(browser, everything):
    for picture, image in enumerate(everything["images"]):
        choose(browser, "picture", picture)
        for place, rate in enumerate(pictures.RATES):
            browser.find_element("css selector", f"#rate input[value='{place}']").click()
            for side, codec in (("left", "webp"), ("right", "jpeg-444")):
                choose(browser, side, codec)
                points = [p for p in everything["points"] if (p["codec"], p["digest"]) == (codec, image["digest"])]
                point = pictures.nearest(points, rate)
                text = shown_facts(browser, side)
                for part in (f"{point['bytes']:,} bytes", f"{point['bpp']:.3f} bpp", f"{point['metrics']['psnr_rgb']:.2f} dB"):
                    assert part in text
        assert browser.execute_script("return document.getElementById('left-image').decode().then(() => true)")
        width = browser.execute_script("return document.getElementById('left-image').naturalWidth")
        assert width == min(512, image["width"])
        assert image["name"] in by_id(browser, "left-image").get_attribute("alt")
    left = shown_facts(browser, "left")
    by_id(browser, "swap").click()
    assert shown_facts(browser, "right") == left
    choose(browser, "left", "original")
    assert "not compressed" in shown_facts(browser, "left")


def test_browser_zooms_and_pans_both_pictures(browser):
    from selenium.webdriver import Keys

    def transforms():
        return [by_id(browser, f"{side}-image").value_of_css_property("transform") for side in ("left", "right")]

    browser.find_element("css selector", "#zoom input[value='4']").click()
    first, second = transforms()
    assert first == second
    assert first.startswith("matrix(4, 0, 0, 4, ")
    by_id(browser, "stage").send_keys(Keys.ARROW_RIGHT)
    moved = transforms()
    assert moved[0] == moved[1] != first
    assert by_id(browser, "left-image").value_of_css_property("image-rendering") == "pixelated"


@pytest.mark.parametrize("width", [390, 1280])
def test_browser_fits_the_screen(browser, width):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_browser_says_nothing_and_asks_for_nothing(browser, out):
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"}
    own = (out / "page.html").as_uri()
    assert own in asked
    assert {url for url in asked if not url.startswith(("data:", "blob:", "chrome:"))} == {own}
