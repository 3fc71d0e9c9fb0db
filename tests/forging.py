"""Files that no encoder makes, with right checksums, and what decoding them costs."""

import io
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from codec.entropy.coder import encode
from codec.entropy.scale_model import STAGES, ScaleModel
from codec.entropy.symbols import Symbols
from codec.format import container
from codec.format.geometry import HYPER_STRIDE, LATENT_STRIDE, Rect
from codec.format.header import Header, Kind
from codec.format.payload import Payload, length_min
from codec.networks.model import Model

from .conftest import TINY

CHILD = """
import resource
import sys
import time
import warnings
from pathlib import Path

import codec
from codec.runtime import devices  # loads torch

loaded = codec.Codec(weights=sys.argv[2] or None, device="cpu", threads=int(sys.argv[3]))
data = Path(sys.argv[1]).read_bytes()
small = loaded.encode(__import__("numpy").zeros((64, 64, 3), "uint8"))
loaded.decode(small)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


before, start = peak(), time.process_time()
try:
    {call}
    said = "done"
except codec.CaeError as error:
    said = str(error)
print(peak() - before, time.process_time() - start, said)
"""


class Counting(io.BytesIO):
    """A file that counts the bytes that are read of it, and in how many pieces."""

    fetched = requests = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.fetched += len(content)
        self.requests += 1
        return content


def smallest_file(width: int, height: int, model_id: bytes, *, tile: int = 2048, channels: int = 3) -> bytes:
    """A file whose tiles' payloads are as short as the format allows, and nothing but zeros."""
    header = Header(width, height, channels, 50, tile, model_id)
    lengths = (length_min(Kind.TRANSFORM, header.place(number)) for number in range(header.tile_count))
    return container.write(header, {}, [Payload(Kind.TRANSFORM, bytes(length)) for length in lengths])


def transform_payload(symbols: Callable[..., np.ndarray], place: Rect, quality: int, model: Model) -> bytes:
    """A sound payload of any symbols, of which `symbols(*shape)` gives arrays int32, for a tile that covers `place`."""
    hyper, latent = place.outward(HYPER_STRIDE), place.outward(LATENT_STRIDE)
    config, exact = model.config, model.coder.exact
    names = np.abs(symbols(hyper.height, hyper.width)) % config.priors
    residual = symbols(hyper.height, hyper.width, config.hyper_channels)
    chosen = symbols(latent.height, latent.width, config.latent_channels)
    z = residual + exact.priors.mean[names]
    index = scale_indices(exact.scales, z, chosen, quality)
    return encode(list(Symbols(names, z, chosen, index).groups(exact, quality)))


def scale_indices(scales: ScaleModel, hyper: np.ndarray, latent: np.ndarray, quality: int) -> np.ndarray:
    """Scale indices (h, w, N) uint8 of a tile's symbols, given all of them."""
    index = np.empty(latent.shape, np.uint8)
    tile = scales.coding(hyper, quality, *latent.shape[:2])
    for stage in range(STAGES):
        for place, part in tile.stage(stage):
            tile.add(place, latent[place], part)
            index[place] = part
    return index


def cost(data: bytes, call: str, folder: Path, *, weights: Path | None = TINY, threads: int = 1) -> tuple[float, float, str]:
    """Megabytes that a call takes beyond what a codec takes for a small picture, its seconds of CPU, and the error's text.

    It runs in a process of its own, where `loaded` is a codec and `data` the file's bytes.
    """
    path = folder / "forged.cae"
    path.write_bytes(data)
    code = CHILD.replace("{call}", call)
    command = [sys.executable, "-c", code, str(path), str(weights or ""), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    megabytes, seconds, said = done.stdout.strip().split(" ", 2)
    return float(megabytes), float(seconds), said


def forked(work: Callable[[], None]) -> tuple[int, str]:
    """Runs work in a forked copy of this process; returns its exit status (a signal's number below 0) and what it printed."""
    with tempfile.TemporaryFile() as output:
        if not (child := os.fork()):
            status = 70
            os.dup2(output.fileno(), 2)
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False))  # pytest has put another in its place
            try:
                work()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
                print(end.code, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(ended), output.read().decode()
