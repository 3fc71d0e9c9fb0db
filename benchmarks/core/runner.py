"""Runs codecs on images: measures the points that the store does not have."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

from codec import CaeError

from ..codecs import TestedCodec
from .images import Sample
from .metrics import METRICS
from .store import Key, Point, Store


@dataclasses.dataclass(frozen=True)
class PointTask:
    """One point to measure; `version` is the codec's, asked once."""

    sample: Sample
    codec: TestedCodec
    version: str
    setting: float

    @property
    def key(self) -> Key:
        """The key that the measured point will have."""
        return (self.sample.digest, self.codec.name, self.version, self.setting)

    def __str__(self) -> str:
        return f"{self.codec.name} at {self.setting:g} on {self.sample.name}"


def measure(task: PointTask, metrics: Sequence[str]) -> Point:
    """Encodes, decodes and compares."""
    pixels = task.sample.load()
    started = time.perf_counter()
    data = task.codec.encode(pixels, task.setting)
    encoded = time.perf_counter()
    decoded = task.codec.decode(data)
    ended = time.perf_counter()
    if decoded.shape != pixels.shape or decoded.dtype != pixels.dtype:
        raise CaeError(f"{task}: decoded to {decoded.dtype} {decoded.shape}, not {pixels.dtype} {pixels.shape}")
    return Point(
        image=task.sample.name,
        digest=task.sample.digest,
        width=task.sample.width,
        height=task.sample.height,
        codec=task.codec.name,
        version=task.version,
        setting=task.setting,
        bytes=len(data),
        metrics={name: METRICS[name].compute(pixels, decoded) for name in metrics},
        encode_seconds=encoded - started,
        decode_seconds=ended - encoded,
    )


def _attempt(task: PointTask, metrics: Sequence[str]) -> Point | str:
    """The point, or what went wrong: one image too large for one format must not end a long run."""
    try:
        return measure(task, metrics)
    except Exception as error:  # every codec has its own kinds
        return f"{task}: {error}"


def _prepare_process() -> None:
    # the processes share the processors; torch and OpenMP read this when the metrics first load them
    os.environ["OMP_NUM_THREADS"] = "1"
    # an interruption is for the main process, which lets these end what they are at
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_image(tasks: list[PointTask], metrics: Sequence[str], pool: ProcessPoolExecutor | None) -> Iterator[Point | str]:
    """First the single-threaded codecs side by side, then, alone, those that use all processors."""
    here = tasks
    if pool is not None:
        here = [task for task in tasks if task.codec.in_main_process]
        futures = [pool.submit(_attempt, task, metrics) for task in tasks if not task.codec.in_main_process]
        for future in as_completed(futures):
            yield future.result()
    for task in here:
        yield _attempt(task, metrics)


def run(tasks: Sequence[PointTask], metrics: Sequence[str], store: Store, jobs: int) -> tuple[list[Point], list[str]]:
    """All points of the tasks, from the store or measured now, and a line for each one that failed.

    Images come one after another, each with all its codecs, so that those that are done are whole.
    """
    missing = [task for task in tasks if store.find(task.key, list(metrics)) is None]
    failures = []
    parallel = jobs > 1 and any(not task.codec.in_main_process for task in missing)
    # spawned, not forked: a process forked from one that has run torch can hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_prepare_process) if parallel else None
    reused = len(tasks) - len(missing)
    try:
        with tqdm(
            total=len(missing), unit="point", desc=f"{reused} reused, measuring", smoothing=0, disable=not missing
        ) as bar:
            for _, tasks_of_image in itertools.groupby(missing, key=lambda task: task.sample):
                group = list(tasks_of_image)
                # fast and slow codecs mixed, so that the speed so far tells the time left
                random.Random(0).shuffle(group)
                for outcome in _run_image(group, metrics, pool):
                    if isinstance(outcome, Point):
                        store.add(outcome)
                    else:
                        failures.append(outcome)
                    bar.update()
    except BrokenProcessPool:
        raise CaeError("a process died, perhaps for want of memory; run the command again with --jobs 1") from None
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    stored = [point for task in tasks if (point := store.find(task.key, list(metrics))) is not None]
    # an earlier run may have measured more of some points, and a curve needs the same of all
    points = [dataclasses.replace(point, metrics={name: point.metrics[name] for name in metrics}) for point in stored]
    return points, sorted(failures)
