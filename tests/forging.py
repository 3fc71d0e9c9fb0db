"""Files that no encoder makes, with right checksums, and what decoding them costs."""

import io
import subprocess
import sys
from pathlib import Path

from codec.format import container
from codec.format.container import Header, Kind, Payload, length_min

from .conftest import TINY

CHILD = """
import resource
import sys
import time
import warnings
from pathlib import Path

import codec
from codec.runtime import devices  # loads torch

held = codec.Codec(weights=sys.argv[2] or None, device="cpu", threads=int(sys.argv[3]))
data = Path(sys.argv[1]).read_bytes()
small = held.encode(__import__("numpy").zeros((64, 64, 3), "uint8"))
held.decode(small)


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
        found = super().read(size)
        self.fetched += len(found)
        self.requests += 1
        return found


def smallest_file(width: int, height: int, model_id: bytes, *, tile: int = 2048, channels: int = 3) -> bytes:
    """A file whose tiles' payloads are as short as the format allows, and nothing but zeros."""
    header = Header(width, height, channels, 50, tile, model_id)
    lengths = (length_min(Kind.TRANSFORM, header.place(number)) for number in range(header.tile_count))
    return container.write(header, {}, [Payload(Kind.TRANSFORM, bytes(length)) for length in lengths])


def cost(data: bytes, call: str, folder: Path, *, weights: Path | None = TINY, threads: int = 1) -> tuple[float, float, str]:
    """Megabytes that a call takes beyond what a codec takes for a small picture, its seconds of CPU, and the error's text.

    It runs in a process of its own, where `held` is a codec and `data` the file's bytes.
    """
    path = folder / "forged.cae"
    path.write_bytes(data)
    code = CHILD.replace("{call}", call)
    command = [sys.executable, "-c", code, str(path), str(weights or ""), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    megabytes, seconds, said = done.stdout.strip().split(" ", 2)
    return float(megabytes), float(seconds), said
