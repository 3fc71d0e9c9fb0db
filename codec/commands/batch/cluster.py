"""Tasks on the workers of a Dask cluster, which see the same file system as the command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import queue
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ...cli.bars import DELAY
from ...cli.messages import print_message
from ...cli.standard_streams import STREAM
from ...errors import CaeError, extra_advice
from .remote import RemoteWork, find_problem, run_task
from .task import Outcome, Task, Work

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_TIMEOUT = 5.0
"""Seconds in which a scheduler must answer."""
WORKER_TIMEOUT = 60.0
"""Seconds without any worker after which a command gives up."""
PENDING_MAX = 4096
"""Tasks that the scheduler holds at a time."""
_POLL_INTERVAL = 2.0
"""Seconds between looks for workers while nothing finishes."""


def make_absolute(arguments: argparse.Namespace) -> None:
    """Makes the paths of files absolute, since workers run in other folders."""
    from ...networks import registry

    arguments.inputs = [path if path == STREAM else os.path.abspath(path) for path in arguments.inputs]
    arguments.output = os.path.abspath(arguments.output)
    if arguments.weights:
        arguments.weights = arguments.weights.absolute()
    for name in ("encoder", "decoder"):
        if (part := getattr(arguments, name, None)) and registry.is_path(part):
            setattr(arguments, name, os.path.abspath(part))


def run_tasks(
    work: Work,
    tasks: Sequence[Task],
    arguments: argparse.Namespace,
    count_pixels: Callable[[int], None],
    *,
    connect_timeout: float = CONNECT_TIMEOUT,
    worker_timeout: float = WORKER_TIMEOUT,
) -> Iterator[tuple[Task, Outcome]]:
    """Does tasks on the workers of `arguments.scheduler`; yields them as they finish.

    Tasks of a worker that dies go to others. A task whose workers died repeatedly is tried once more after all others, alone,
    since another task may have been the cause. If its workers die again, it fails.

    Args:
        work: the command's work.
        tasks: the tasks.
        arguments: the command's arguments.
        count_pixels: called with the number of pixels done.
        connect_timeout: seconds in which the scheduler must answer.
        worker_timeout: seconds without any worker after which the command gives up.

    Raises:
        CaeError: if the scheduler cannot be reached or is lost, if a worker cannot do the work, or if there are no workers.
    """
    address = arguments.scheduler
    with _connect(address, connect_timeout) as client:
        shows_waiting = not arguments.quiet and sys.stderr is not None and sys.stderr.isatty()
        cluster = _Cluster(client, address, RemoteWork.pack(work), worker_timeout, shows_waiting=shows_waiting)
        Path(arguments.output).mkdir(parents=True, exist_ok=True)
        # inputs that are missing here fail one by one
        cluster.check_workers([*filter(os.path.exists, arguments.inputs), arguments.output])
        deadly = []
        for task, outcome in cluster.run(tasks, PENDING_MAX):
            if outcome is None:
                deadly.append(task)
            else:
                count_pixels(outcome.summary.get("width", 0) * outcome.summary.get("height", 0))
                yield task, outcome
        for task, outcome in cluster.run(deadly, 1):
            yield task, outcome or Outcome(error="the worker died each time; it may need more memory than workers have")


class _Cluster:
    """The workers behind a scheduler, for one command's work."""

    def __init__(
        self, client: Client, address: str, remote_work: RemoteWork, worker_timeout: float, *, shows_waiting: bool
    ) -> None:
        self._shows_waiting = shows_waiting
        self._client, self._address, self._work = client, address, remote_work
        self._worker_timeout, self._workers_seen = worker_timeout, time.monotonic()

    def check_workers(self, paths: Sequence[str]) -> None:
        """Waits for the first worker; raises CaeError where a worker cannot do the work on files in these places."""
        begun, announced = time.monotonic(), not self._shows_waiting
        while not self._has_workers():
            time.sleep(0.1)
            if not announced and time.monotonic() - begun > DELAY:
                announced = True
                print_message(f"waiting for workers of {self._address}, at most {self._worker_timeout:.0f} s")
        with self._converted_errors():
            answers = self._client.run(find_problem, self._work, paths, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, BaseException):
                answer = f"{_describe(answer)}; install the same cae-codec on all machines"
            if answer is not None:
                raise CaeError(f"worker {address}: {answer}")

    def run(self, tasks: Iterable[Task], pending_max: int) -> Iterator[tuple[Task, Outcome | None]]:
        """Does tasks, at most `pending_max` at a time; the outcome is None where a task's workers died."""
        from distributed import KilledWorker

        # keys that share a name and count up: the scheduler holds back what workers have no time for
        name, number = f"cae-{uuid.uuid4().hex}", 0
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        pending: dict[object, tuple[Task, Future]] = {}
        remaining = iter(tasks)
        while True:
            for task in remaining:
                key, number = (name, number), number + 1
                paths = (str(task.source), str(task.target))
                with self._converted_errors():
                    future = self._client.submit(run_task, self._work, *paths, key=key, pure=False)
                pending[key] = task, future
                future.add_done_callback(done.put)
                if len(pending) >= pending_max:
                    break
            if not pending:
                return
            future = self._next(done)
            task, _ = pending.pop(future.key)
            if future.status == "cancelled":
                self._fail_as_lost()
            error = future.exception()
            if error is None:
                yield task, future.result()
            elif isinstance(error, KilledWorker):
                yield task, None
            else:
                raise CaeError(f"a worker cannot do the job: {_describe(error)}")

    def _next(self, done: queue.SimpleQueue[Future]) -> Future:
        while True:
            try:
                return done.get(timeout=_POLL_INTERVAL)
            except queue.Empty:
                self._has_workers()

    def _has_workers(self) -> bool:
        """Returns True if there are workers; raises CaeError if there have been none for too long."""
        if self._client.status != "running":
            self._fail_as_lost()
        with self._converted_errors():
            has_workers = bool(self._client.nthreads())
        if has_workers:
            self._workers_seen = time.monotonic()
        elif time.monotonic() - self._workers_seen > self._worker_timeout:
            raise CaeError(f"--scheduler {self._address}: it has had no workers for {self._worker_timeout:.0f} seconds")
        return has_workers

    @contextlib.contextmanager
    def _converted_errors(self) -> Iterator[None]:
        """Turns any error of a call to the scheduler into CaeError."""
        try:
            yield
        except Exception as error:
            self._fail_as_lost(error)

    def _fail_as_lost(self, error: BaseException | None = None) -> NoReturn:
        reason = f" ({_describe(error)})" if error else ""
        raise CaeError(f"--scheduler {self._address}: the connection is lost{reason}") from None


@contextlib.contextmanager
def _connect(address: str, timeout: float) -> Iterator[Client]:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise CaeError(f"--scheduler needs the package distributed; {extra_advice('dask')}") from None
    for name in logging.root.manager.loggerDict:
        if name.startswith("distributed"):  # errors are reported here, in one line; some of these have levels of their own
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(asyncio.wait_for(_identify(address), timeout))
        client = Client(address, timeout=timeout, set_as_default=False)
    except Exception as error:  # any kind: the address may be malformed, or lead to another kind of server
        reason = f"cannot be reached within {timeout:.0f} s" if isinstance(error, OSError) else _describe(error)
        raise CaeError(f"--scheduler {address}: {reason}; name it as dask scheduler does, tcp://HOST:8786") from None
    try:
        yield client
    finally:
        client.close(timeout=timeout)


async def _identify(address: str) -> None:
    """Asks a scheduler for its identity. A client without this check would try for long to reach one."""
    from distributed.core import rpc
    from distributed.security import Security

    async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
        await scheduler.identity()


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, CaeError) else f"{type(error).__name__}: {error}"
