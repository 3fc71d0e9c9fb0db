"""The package leaves no trace for the other threads of a process."""

import io
import locale
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image, ImageFile, PngImagePlugin

import codec
import codec.pillow
from codec.images import streams

CAT = skimage.data.chelsea()[:60, :50]
DEEP = CAT.astype(np.uint16) * 257


def state() -> tuple:
    """Whatever belongs to the whole process, and could be changed by a module."""
    return (
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        PngImagePlugin.MAX_TEXT_CHUNK,
        tuple(warnings.filters),
        warnings.showwarning,
        dict(os.environ),
        locale.setlocale(locale.LC_ALL),
        os.getcwd(),
        str(np.geterr()),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist()[:8],
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.get_float32_matmul_precision(),
    )


def uses(tiny: codec.Codec, folder) -> Iterator[Callable[[], object]]:
    """Calls that an application makes."""
    streams.write_bands(folder / "deep.png", (50, 60), 3, {}, [DEEP], depth=16)
    tifffile.imwrite(folder / "deep.tif", DEEP, photometric="rgb", rowsperstrip=8, compression="zlib")
    Image.fromarray(CAT).save(folder / "cat.webp", lossless=True)
    Image.fromarray(CAT).save(folder / "cat.tif")
    coded = tiny.encode(CAT, tile=64)

    def encode_opened(name: str) -> bytes:
        with Image.open(folder / name) as image:
            return tiny.encode(image)

    def read(name: str) -> None:
        with streams.open_picture(folder / name, whole_max=0) as source:
            for _ in source.bands:
                pass

    for name in ("deep.png", "deep.tif", "cat.webp", "cat.tif"):
        yield lambda name=name: encode_opened(name)
        yield lambda name=name: read(name)
    yield lambda: tiny.decode(coded)
    yield lambda: tiny.decode_image(coded, scale=0.5)
    yield lambda: codec.pillow.Image.fromarray(CAT).save(io.BytesIO(), "CAE", lossless=True)
    yield lambda: streams.write_bands(folder / f"{threading.get_ident()}.tif", (50, 60), 3, {}, [CAT])


def test_a_bystander_sees_nothing(tiny, tmp_path, tiny_plugin):
    """A thread that looks all the time, at its own pictures too, while eight others work."""
    work = list(uses(tiny, tmp_path))
    for each in work:
        each()  # loads what is loaded once
    picture = io.BytesIO()
    Image.new("L", (64, 64)).save(picture, "PNG")
    before, differences, ended = state(), [], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            now = state()
            differences.extend((old, new) for old, new in zip(before, now, strict=True) if old != new)
            with Image.open(io.BytesIO(picture.getvalue())) as image:
                image.load()

    watcher = ThreadPoolExecutor(1)
    watching = watcher.submit(watch)
    try:
        with ThreadPoolExecutor(8) as pool:
            for result in [pool.submit(each) for each in work * 4]:
                result.result()
    finally:
        ended.set()
        watching.result()
    assert not differences
    assert state() == before


@pytest.mark.parametrize("first", ["codec.Codec", "codec.pillow", "codec.dataset"])
def test_importing_changes_no_environment(first):
    code = "import os, warnings, locale, threading; before = dict(os.environ), list(warnings.filters)\n"
    code += f"import codec, importlib; names = {first!r}.split('.')\n"
    code += "hasattr(codec, names[1]) or importlib.import_module('.'.join(names))\n"
    code += "assert dict(os.environ) == before[0], set(os.environ) - set(before[0])\n"
    code += "assert [f for f in warnings.filters if 'codec' in str(f)] == []"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
