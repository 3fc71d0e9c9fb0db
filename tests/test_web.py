"""The browser's decoder: the reference's symbols and pixels on each kind of file, and a message for what is no sound one."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec import reference, web
from codec.images.orientation import turn
from codec.networks import registry
from codec.web.page import bundle, make_page
from codec.web.weights import pack_weights
from conformance.pictures import Weights, valid_files
from conformance.png import read_png
from conformance.refusals import damaged_files, forged_files

from .browsers import needs_browser, start_browser
from .conftest import DATA, TINY
from .fuzz.draft import assemble, dissect
from .make_golden_files import DIGESTS, symbols_digest, weights_of

GOLDEN = json.loads(DIGESTS.read_text())
SMALL = (DATA / "tiny_gray_alpha_v1.cae").read_bytes()
STATIC = Path(web.__file__).with_name("static")
TOOLS = """
const base64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const model = weights.readWeights(bytes(document.getElementById("weights").textContent)).then(decoder.Model.create);
const ORDER = ["priors", "hyper", "latent", "index"];
window.decodeFile = async (text) => {
  const symbols = [];
  const onSymbols = (tile) => symbols.push(...ORDER.map((name) => new Uint8Array(tile[name].buffer)));
  try {
    const { header, metadata: found, samples } = await decoder.decode(bytes(text), { findModel: () => model, onSymbols });
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", container.joined(symbols)));
    for (const name in found) if (typeof found[name] !== "string") found[name] = base64(found[name]);
    return { header, metadata: found, samples: base64(new Uint8Array(samples.buffer)), digest: base64(digest) };
  } catch (error) {
    return { error: error.message, isKnown: error instanceof container.FileError };
  }
};
window.turned = (text, width, height, exif) => {
  const header = { width, height, channels: 1, depth: 8 };
  const found = metadata.shown({ header, metadata: { exif: bytes(exif) }, samples: bytes(text) });
  return [found.width, found.height, base64(found.samples)];
};
window.decodeWebp = (text, height, width) => base64(new Uint8Array(webp.readWebp(bytes(text), height, width).buffer));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def decoders(browser, tmp_path_factory):
    """Opens a page that decodes files with weights, and gives a function that calls one of TOOLS there."""
    opened = []

    def call(weights, name, *arguments):
        if opened != [weights]:
            path = tmp_path_factory.mktemp("page") / "page.html"
            path.write_text(make_page(weights))
            browser.get(path.as_uri())
            opened[:] = [weights]
            run_module(browser, bundle("decoder", "metadata", "weights") + TOOLS)
        script = f"const done = arguments[arguments.length - 1]; Promise.resolve({name}(...arguments)).then(done)"
        return browser.execute_async_script(script, *arguments)

    return call


def run_module(browser, text):
    script = """
    const url = URL.createObjectURL(new Blob([arguments[0]], { type: "text/javascript" }));
    import(url).then(() => arguments[1](null), (error) => arguments[1](error.message));
    """
    assert browser.execute_async_script(script, text) is None


def decode(decoders, data, weights=TINY):
    return decoders(weights, "decodeFile", base64.b64encode(data).decode())


def assert_same_picture(found, data, weights=TINY):
    """Metadata are equal, and pixels within a level; without loss they are exact."""
    assert "error" not in found, found
    expected = reference.decode(data, weights)
    samples = np.frombuffer(base64.b64decode(found["samples"]), expected.pixels.dtype).reshape(expected.pixels.shape)
    errors = abs(samples.astype(int) - expected.pixels)
    header = reference.read_header(data)[0]
    parts = reference.read_index(data, header, reference.read_sections(data, reference.read_header(data)[1])[1])
    lossy = any(part.transform for part in parts)
    assert errors.max() <= ((2**expected.depth - 1) // 255 if lossy else 0)
    if header.channels % 2 == 0:
        assert not errors[..., -1].any()
    for name, content in expected.metadata.items():
        assert found["metadata"][name] in ("sRGB", base64.b64encode(content).decode())
    assert found["metadata"].keys() == expected.metadata.keys()


def digest_of(found):
    return base64.b64decode(found["digest"]).hex()


@needs_browser
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_come_out_as_the_reference_has_them(decoders, name):
    data = (DATA / name).read_bytes()
    found = decode(decoders, data, weights_of(name))
    assert_same_picture(found, data, weights_of(name))
    assert digest_of(found) == GOLDEN[name]


@needs_browser
@pytest.mark.parametrize("pattern", ["mode-*", "depth-*", "size-*", "lossless-*", "kinds-*", "quality-*", "[elmtu]*"])
def test_the_suite_comes_out_as_the_reference_has_it(decoders, tiny, tiny_model, pattern):
    made = 0
    for name, data, _ in valid_files(Weights(TINY, tiny), {}, pattern):
        found = decode(decoders, data)
        assert digest_of(found) == symbols_digest(data, tiny_model)
        if name != "escapes":  # values near 2**23, which magnify the rounding of weights to float16
            assert_same_picture(found, data)
        made += 1
    assert made


@needs_browser
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_the_package_turns_them(decoders, orientation):
    pixels = np.arange(3 * 5, dtype=np.uint8).reshape(3, 5)
    exif = Image.Exif()
    exif[274] = orientation
    texts = [base64.b64encode(content).decode() for content in (pixels.tobytes(), exif.tobytes())]
    width, height, found = decoders(TINY, "turned", texts[0], 5, 3, texts[1])
    samples = np.frombuffer(base64.b64decode(found), np.uint8).reshape(height, width)
    assert np.array_equal(samples, turn(pixels[..., None], orientation)[..., 0])


@needs_browser
@pytest.mark.parametrize("shape", [(40, 1100, 3), (1100, 30, 1)])
def test_windows_of_the_synthesis_do_not_show(decoders, tiny, shape):
    rows, columns, channels = np.indices(shape)
    data = tiny.encode((rows * 3 + columns * 5 + channels * 40).astype(np.uint8), 90, tile=512)
    assert_same_picture(decode(decoders, data), data)


@needs_browser
def test_what_is_no_sound_file_gets_a_message(decoders):
    refused = [*damaged_files(SMALL), *forged_files(SMALL)]
    for name, data, _ in refused:
        found = decode(decoders, data)
        assert found.get("isKnown") and len(found["error"]) > 10, (name, found.get("error"))
    assert len(refused) > 30
    assert_same_picture(decode(decoders, SMALL), SMALL)


@needs_browser
def test_damage_anywhere_gets_a_message(decoders):
    for place in range(0, len(SMALL), 7):
        found = decode(decoders, SMALL[:place] + bytes([SMALL[place] ^ 16]) + SMALL[place + 1 :])
        assert found.get("isKnown"), (place, found.get("error"))


@needs_browser
def test_forged_payloads_are_taken_or_refused_as_by_the_reference(decoders, tiny, chelsea):
    """Payloads with changed bytes and sound checksums."""
    rng, taken = np.random.default_rng(3), 0
    sources = [tiny.encode(chelsea[:40, :50], lossless=True), tiny.encode(chelsea[:40, :50, :2]), SMALL]
    for number in range(60):
        draft = dissect(sources[number % len(sources)])
        part = draft.parts[-1]
        changed = bytearray(part.data)
        changed[rng.integers(20, len(changed))] = rng.integers(256)
        part.data = bytes(changed)
        data = assemble(draft)
        found = decode(decoders, data)
        try:
            reference.decode(data, TINY)
        except ValueError:
            assert found.get("isKnown"), found
        else:
            assert_same_picture(found, data)
            taken += 1
    assert 0 < taken < 60


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_node_decodes_too(tmp_path):
    command = ["node", str(STATIC / "node.js"), str(TINY), str(DATA / "tiny_deep_v1.cae"), str(tmp_path / "out.png")]
    subprocess.run(command, check=True)
    expected = reference.decode((DATA / "tiny_deep_v1.cae").read_bytes(), TINY).pixels
    assert abs(read_png((tmp_path / "out.png").read_bytes()).astype(int) - expected).max() <= 4095 // 255
    (tmp_path / "bad.cae").write_bytes(SMALL[:-1])
    command[3] = str(tmp_path / "bad.cae")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "cut off in tile 0" in done.stderr and len(done.stderr.splitlines()) == 1


def webp_pictures():
    """Pictures for which WebP takes each of its transforms, prefix codes and caches."""
    rng, photograph = np.random.default_rng(1), np.asarray(Image.open(DATA / "rgb16.png").convert("RGB"))
    rows, columns = np.indices((67, 83))
    smooth = np.stack([rows * 3, columns * 2, rows + columns], -1).astype(np.uint8)
    yield smooth
    yield photograph
    yield np.zeros((1, 1, 3), np.uint8)
    yield rng.integers(0, 256, (40, 50, 3), np.uint8)
    yield (smooth + rng.integers(0, 9, smooth.shape)).astype(np.uint8)
    for colours in (2, 3, 4, 16, 17, 256):
        yield rng.integers(0, 256, (colours, 3), np.uint8)[(rows * columns // 5 + rng.integers(0, 2, rows.shape)) % colours]
    yield np.concatenate([smooth, (rows * columns % 256)[..., None].astype(np.uint8)], -1)


@needs_browser
@pytest.mark.parametrize("method", [0, 3, 6])
def test_webp_files_come_out_as_pillow_has_them(decoders, astronaut, method):
    for pixels in (*webp_pictures(), astronaut[:150, :161]):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True, method=method, quality=100)
        height, width = pixels.shape[:2]
        start = file.getvalue().find(b"VP8L")
        chunk = file.getvalue()[start : start + 8 + int.from_bytes(file.getvalue()[start + 4 : start + 8], "little")]
        chunk += bytes(len(chunk) % 2)
        whole = b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"WEBP" + chunk
        found = decoders(TINY, "decodeWebp", base64.b64encode(whole).decode(), height, width)
        words = np.frombuffer(base64.b64decode(found), "<u4").reshape(height, width)
        expected = np.asarray(Image.open(file).convert("RGBA"))
        assert np.array_equal(np.stack([words >> shift & 255 for shift in (16, 8, 0, 24)], -1), expected)


def test_weights_are_small():
    assert len(pack_weights(registry.default_path())) <= 6 * 10**6


def test_a_page_needs_no_other_file():
    page = make_page(TINY, '<b>"x" & y</b>.cae', SMALL)
    assert "&lt;b&gt;&quot;x&quot; &amp; y&lt;/b&gt;.cae" in page and "<b>" not in page
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 4 and page.count("</script") == 4
    assert base64.b64decode(scripts[2]) == SMALL
    assert not re.search(r"^(import|export)\b", scripts[0] + scripts[3], re.MULTILINE)
    assert not re.search(r"https?://|fetch\(|XMLHttpRequest|(src|href)=(?!\"data:)", page)


def test_pages_of_lossless_files_hold_no_weights():
    data = codec.Codec(weights=TINY, device="cpu").encode(np.zeros((9, 9), np.uint8), lossless=True)
    assert len(make_page(None, "x.cae", data)) < 150_000
