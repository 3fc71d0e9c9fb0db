"""Threads: as many as are wanted but no more than a machine bears, and none of it to be seen by the program around."""

import hashlib
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import codec
from codec.runtime.threads import THREADS_PER_PROCESSOR, check_cancelled, processors, run_parallel, thread_count

from .command_line import BIN
from .conftest import DATA, TINY


def run_child(code: str, *arguments: object) -> str:
    """Runs a program in a process of its own; returns what it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=DATA.parents[1], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED = """
import os, sys, threading, time
import numpy as np
import codec
most, done = 0, False
def watch():
    global most
    while not done:
        most = max(most, len(os.listdir("/proc/self/task")))
        time.sleep(0.001)
loaded = codec.Codec(weights=sys.argv[1], device="cpu", threads=int(sys.argv[2]))
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
for tile in (64, 2048):
    data = loaded.encode(np.zeros((640, 640), np.uint8), tile=tile)
    assert loaded.decode(data).shape == (640, 640)
done = True
watcher.join()
print(most)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux shows them")
def test_threads_that_are_started_are_bounded():
    """With many tiles, which take a thread each, and with one, whose products take them all."""
    most = int(run_child(WATCHED, TINY, 10**6))
    others = 10 + 2 * processors()
    assert most <= THREADS_PER_PROCESSOR * processors() + others


def test_command_with_far_too_many_threads(tmp_path, chelsea):
    picture, out = tmp_path / "photo.png", tmp_path / "photo.cae"
    Image.fromarray(chelsea).save(picture)
    command = [sys.executable, BIN / "cae-encode", picture, out, "-j", "100000", "--weights", TINY]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert codec.info(out.read_bytes()).width == 451


def test_thread_count():
    assert thread_count(None) == processors()
    assert thread_count(1) == thread_count(np.int64(1)) == 1
    assert thread_count(10**30) == THREADS_PER_PROCESSOR * processors()


@pytest.mark.parametrize("count", [0, -1, "2", 2.0, True, np.float64(2), [2]])
def test_bad_numbers_of_threads(count):
    with pytest.raises(codec.CaeError, match="threads"):
        codec.Codec(weights=TINY, device="cpu", threads=count)
    with pytest.raises(codec.CaeError, match="threads"):
        codec.encode(np.zeros((4, 4), np.uint8), weights=TINY, device="cpu", threads=count)


def test_system_without_more_threads(tiny, chelsea, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", start)
    with pytest.raises(codec.CaeError, match="use fewer"):
        tiny.encode(chelsea, tile=128)


@pytest.mark.parametrize(
    ("items", "threads", "among", "each"), [(3, 7, None, 2), (1, 7, None, 7), (9, 2, None, 1), (1, 2, 9, 1)]
)
def test_threads_left_over_go_to_the_products(items, threads, among, each):
    assert run_parallel(lambda _: torch.get_num_threads(), range(items), threads, among=among) == [each] * items


def test_nothing_to_do():
    assert run_parallel(str, [], 4) == []


def test_long_work_ends_where_other_work_fails():
    """Or where it is interrupted: it asks, and is told so."""
    begun, ended = threading.Event(), []

    def work(number):
        if number:
            begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        try:
            for _ in range(6000):
                check_cancelled()
                time.sleep(0.01)
        except CancelledError:
            ended.append(number)
            raise

    with pytest.raises(KeyboardInterrupt):
        run_parallel(work, [1, 0], 2)
    assert ended == [0]
    check_cancelled()


def test_a_search_can_be_interrupted(tmp_path):
    """Ctrl-C ends a search of minutes at its next step, and leaves no file."""
    code = (
        "import os, signal, sys, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may have started this with it ignored
        "from codec.coding import tile_encoder\n"
        "before = tile_encoder.refine\n"
        "def begun(*arguments):\n"
        "    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "    return before(*arguments)\n"
        "tile_encoder.refine = begun\n"
        "from codec.commands import encode\n"
        "encode.main(sys.argv[1:])"
    )
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "a.png")
    words = [tmp_path / "a.png", tmp_path / "a.cae", "-e", "5", "--weights", TINY, "-j", "2"]
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, cwd=DATA.parents[1], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130 and done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


UNSEEN = """
import sys, threading, time
import numpy as np
import torch
import codec
if sys.argv[2] != "default":
    torch.set_num_threads(int(sys.argv[2]))
expected = torch.get_num_threads()
def of_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]
assert of_new_thread() == expected
loaded = codec.Codec(weights=sys.argv[1], device="cpu", threads=2)
data = loaded.encode(np.zeros((300, 300), np.uint8), tile=64)
damaged = data[:-1] + bytes([data[-1] ^ 1])
assert torch.get_num_threads() == expected
seen = set()
def code():
    for _ in range(4):
        loaded.decode(data)
        try:
            loaded.decode(damaged)
        except codec.CaeError:
            pass
        else:
            raise SystemError
        loaded.encode(np.zeros((20, 20, 3), np.uint8))
        seen.add(torch.get_num_threads())
coders = [threading.Thread(target=code) for _ in range(4)]
for coder in coders:
    coder.start()
meanwhile = set()
while any(coder.is_alive() for coder in coders):
    meanwhile.add(of_new_thread())
    time.sleep(0.001)
assert meanwhile == seen == {expected}, (meanwhile, seen)
assert (torch.get_num_threads(), of_new_thread()) == (expected, expected)
"""


@pytest.mark.parametrize("number", ["default", 3])
def test_numbers_of_threads_around_stay(number):
    """Torch's number stays in the threads that code, in the others, and in new ones: meanwhile, afterwards, after errors."""
    run_child(UNSEEN, TINY, number)


BY_TORCH_ALONE = """
import ctypes, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import torch
import codec
from codec.runtime import torch_threads
from codec.runtime.threads import run_parallel
def unreachable(*_):
    raise OSError
ctypes.CDLL = unreachable
def numbers():
    with ThreadPoolExecutor(1) as pool:
        return [torch.get_num_threads(), pool.submit(torch.get_num_threads).result()]
before = numbers()
loaded = codec.Codec(weights=sys.argv[1], device="cpu", threads=2)
data = loaded.encode(np.zeros((300, 300), np.uint8), tile=64)
try:
    loaded.decode(data[:-1] + bytes([data[-1] ^ 1]))
except codec.CaeError:
    print("damaged")
assert numbers() == before
assert run_parallel(lambda _: torch.get_num_threads(), range(2), 6) == [3, 3]
assert numbers() == before
"""


def test_numbers_of_threads_are_put_back_where_torch_alone_sets_them():
    """As on systems whose libraries cannot be asked to set a thread's own number."""
    assert run_child(BY_TORCH_ALONE, TINY) == "damaged\n"


DECODED = """
import hashlib, sys, torch, codec
torch.set_num_threads(int(sys.argv[2]))
data = open(sys.argv[1], "rb").read()
print(hashlib.sha256(codec.decode(data, device="cpu", threads=2)).hexdigest())
print(hashlib.sha256(codec.decode(data, device="cpu", threads=2, region=(100, 50, 300, 200)).copy()).hexdigest())
"""


@pytest.mark.parametrize("number", [1, 5])
def test_number_of_threads_around_does_not_matter(number):
    """Pixels are the same to the bit, of the whole picture and of a region."""
    file = DATA / "psnr_astronaut_v1.cae"
    pixels = codec.decode(file.read_bytes(), device="cpu", threads=2)
    expected = [hashlib.sha256(part.copy()).hexdigest() for part in (pixels, pixels[50:250, 100:400])]
    assert run_child(DECODED, file, number).split() == expected


def test_one_codec_from_many_threads(tiny, chelsea):
    """Files, qualities, regions, other weights and errors at once: each gives what it gives alone."""
    crops = [chelsea[top : top + 150, left : left + 130 + 7 * left] for top in (0, 90) for left in (0, 5, 20)]

    def encode(number: int) -> object:
        return tiny.encode(crops[number % 6], 10 + 3 * number, tile=64 * (1 + number % 3))

    files = [encode(number) for number in range(24)]
    foreign = (DATA / "psnr_astronaut_v1.cae").read_bytes()

    def decode(number: int) -> object:
        if number % 8 == 7:
            return tiny.decode(foreign, region=(200, 100, 30 + number, 20)).tobytes()
        if number % 4 == 3:
            try:
                return tiny.decode(files[number][:-4])
            except codec.CaeError as error:
                return str(error)
        region = (number, 2 * number, 60, 50) if number % 2 else None
        return tiny.decode(files[number], region=region).tobytes()

    pictures = [decode(number) for number in range(24)]
    with ThreadPoolExecutor(16) as pool:
        for again in (pool.map(encode, range(24)), pool.map(encode, range(24))):
            assert list(again) == files
        for again in (pool.map(decode, range(24)), pool.map(decode, range(24))):
            assert list(again) == pictures
