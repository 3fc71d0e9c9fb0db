"""Many files on the workers of a Dask cluster, which see the same file system as the command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import queue
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import CaeError
from . import remote
from .progress import FilesBar
from .working import Outcome, Task, Work

if TYPE_CHECKING:
    from distributed import Client, Future

REACHED_WITHIN = 5.0
"""Seconds in which a scheduler must answer."""
WORKERS_WITHIN = 60.0
"""Seconds for which a job waits where there are no workers, or no more of them."""
AHEAD = 4096
"""Files that the scheduler knows at a time."""
_LOOK_EVERY = 2.0


def make_absolute(given: argparse.Namespace) -> None:
    """Names files from the root, since workers stand in other folders."""
    from ..networks import registry

    given.inputs = [path if path == "-" else os.path.abspath(path) for path in given.inputs]
    given.output = os.path.abspath(given.output)
    if given.weights:
        given.weights = given.weights.absolute()
    for name in ("encoder", "decoder"):
        if (part := getattr(given, name, None)) and registry.is_path(part):
            setattr(given, name, os.path.abspath(part))


def do_tasks(work: Work, tasks: Sequence[Task], given: argparse.Namespace, bar: FilesBar) -> Iterator[tuple[Task, Outcome]]:
    """Does tasks on the workers of `given.scheduler`; gives them as they are done.

    Those of a worker that dies are done by others. One whose workers died again and again is done once more alone, after
    all others, since another file may have been the cause, and is given up where its workers die again.

    Raises:
        CaeError: where the scheduler cannot be reached or is lost, where a worker cannot do the job, and where there are no
            workers for a while.
    """
    with _connected(given.scheduler) as client:
        job = remote.Job.of(work, given)
        Path(given.output).mkdir(parents=True, exist_ok=True)
        cluster = _Cluster(client, given.scheduler, job)
        # one that is not here either fails by itself
        cluster.check([*filter(os.path.exists, given.inputs), given.output])
        deadly = []
        for task, outcome in cluster.do(tasks, AHEAD):
            if outcome is None:
                deadly.append(task)
            else:
                bar.add_pixels(outcome.facts.get("width", 0) * outcome.facts.get("height", 0))
                yield task, outcome
        for task, outcome in cluster.do(deadly, 1):
            yield task, outcome or Outcome(error="the worker died each time; it may need more memory than workers have")


class _Cluster:
    """A job on a cluster."""

    def __init__(self, client: Client, address: str, job: remote.Job) -> None:
        self._client, self._address, self._job = client, address, job
        self._seen = time.monotonic()

    def check(self, paths: Sequence[str]) -> None:
        """CaeError where a worker cannot do the job on files in these places; waits for the first worker."""
        while not self._has_workers():
            time.sleep(0.1)
        with self._telling():
            answers = self._client.run(remote.refusal, self._job, paths, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, BaseException):
                answer = f"{_told(answer)}; install the same cae-codec on all machines"
            if answer is not None:
                raise CaeError(f"worker {address}: {answer}")

    def do(self, tasks: Iterable[Task], ahead: int) -> Iterator[tuple[Task, Outcome | None]]:
        """Does tasks, of which the scheduler knows so many at a time; None is the outcome where workers died of one."""
        from distributed import KilledWorker

        # a number beside a common name: so the scheduler keeps what no worker has time for
        name, number = f"cae-{uuid.uuid4().hex}", 0
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        pending: dict[object, tuple[Task, Future]] = {}
        left = iter(tasks)
        while True:
            for task in left:
                key, number = (name, number), number + 1
                names = (str(task.source), str(task.target))
                with self._telling():
                    future = self._client.submit(remote.make_file, self._job, *names, key=key, pure=False)
                pending[key] = task, future
                future.add_done_callback(done.put)
                if len(pending) >= ahead:
                    break
            if not pending:
                return
            future = self._next(done)
            task, _ = pending.pop(future.key)
            if future.status == "cancelled":
                self._lost()
            error = future.exception()
            if error is None:
                yield task, future.result()
            elif isinstance(error, KilledWorker):
                yield task, None
            else:
                raise CaeError(f"a worker cannot do the job: {_told(error)}")

    def _next(self, done: queue.SimpleQueue[Future]) -> Future:
        while True:
            try:
                return done.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                self._has_workers()

    def _has_workers(self) -> bool:
        """Whether there are workers; CaeError where there have been none for too long."""
        if self._client.status != "running":
            self._lost()
        with self._telling():
            found = bool(self._client.nthreads())
        if found:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > WORKERS_WITHIN:
            raise CaeError(f"--scheduler {self._address}: it has had no workers for {WORKERS_WITHIN:.0f} seconds")
        return found

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turns errors of a call to the scheduler into CaeError."""
        try:
            yield
        except Exception as error:
            self._lost(error)

    def _lost(self, error: BaseException | None = None) -> NoReturn:
        raise CaeError(f"--scheduler {self._address}: the connection is lost{f' ({_told(error)})' if error else ''}") from None


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise CaeError("--scheduler needs the package distributed: pip install 'cae-codec[dask]'") from None
    for name in logging.root.manager.loggerDict:
        if name.startswith("distributed"):  # of which some have levels of their own; what they log is told here in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(asyncio.wait_for(_ask(address), REACHED_WITHIN))
        client = Client(address, timeout=REACHED_WITHIN, set_as_default=False)
    except Exception as error:  # whatever an address leads to that is none, or another server's
        reason = f"cannot be reached within {REACHED_WITHIN:.0f} s" if isinstance(error, OSError) else _told(error)
        raise CaeError(f"--scheduler {address}: {reason}; name it as dask scheduler does, tcp://HOST:8786") from None
    try:
        yield client
    finally:
        client.close(timeout=REACHED_WITHIN)


async def _ask(address: str) -> None:
    """Asks a scheduler who it is; a client that reaches none would not end for long."""
    from distributed.core import rpc
    from distributed.security import Security

    async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
        await scheduler.identity()


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, CaeError) else f"{type(error).__name__}: {error}"
