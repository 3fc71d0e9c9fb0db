"""Measured points on disk: one JSON object a line, added as they come, so that an interrupted run loses none."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from types import TracebackType

POINT_SCHEMA = 1
"""Changes with the meaning of a point's fields or of a metric; points of another schema are measured anew."""

Key = tuple[str, str, str, float]


@dataclasses.dataclass(frozen=True)
class Point:
    """One image through one codec at one setting.

    `bytes` is the length of the coded file; `metrics` maps a metric's name to its value, None where it is undefined.
    The seconds are wall time as it came, while other work may have run on the machine: no clean timing.
    """

    image: str
    digest: str
    width: int
    height: int
    codec: str
    version: str
    setting: float
    bytes: int
    metrics: dict[str, float | None]
    encode_seconds: float
    decode_seconds: float
    clean_timing: bool = False

    @property
    def key(self) -> Key:
        """Everything that the measurement depends on: pixels, codec, its version, setting."""
        return (self.digest, self.codec, self.version, self.setting)

    @property
    def bpp(self) -> float:
        """Bits per pixel of the coded file."""
        return self.bytes * 8 / (self.width * self.height)


class Store:
    """The points of a file. A context manager; every point is on its way to the disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._points: dict[Key, Point] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b")  # noqa: SIM115 (closed by __exit__)
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            # a run was killed while it wrote: its last line is not whole and must not run into the next one
            self._file.truncate(whole)
        damaged = 0
        for line in data[:whole].splitlines():
            try:
                record = json.loads(line)
                if record.pop("schema") != POINT_SCHEMA:
                    continue
                point = Point(**record)
            except (ValueError, TypeError, KeyError, AttributeError):
                damaged += 1
                continue
            self._points[point.key] = point
        if damaged:
            warnings.warn(f"{path}: {damaged} damaged lines; their points are measured anew", stacklevel=2)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def find(self, key: Key, metrics: list[str]) -> Point | None:
        """The point of a key if it has all these metrics."""
        point = self._points.get(key)
        return point if point and point.metrics.keys() >= set(metrics) else None

    def add(self, point: Point) -> None:
        """Keeps a point, with the metrics that an earlier point of the same key had besides."""
        if (earlier := self._points.get(point.key)) is not None:
            point = dataclasses.replace(point, metrics={**earlier.metrics, **point.metrics})
        self._points[point.key] = point
        line = json.dumps({"schema": POINT_SCHEMA, **dataclasses.asdict(point)}, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
