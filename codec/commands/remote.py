"""What a worker of a Dask cluster does with the files that a command sends it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import pickle
import threading
import warnings
from collections.abc import Sequence
from os.path import exists
from pathlib import Path

from .. import __version__
from ..errors import CaeError
from .side_by_side import TaskPool
from .working import Outcome, Task, Work

_starting = threading.Lock()
_here = threading.local()


@dataclasses.dataclass(frozen=True)
class Job:
    """What the workers know of a command: its pickled work, and what that is done with."""

    work: bytes
    made_with: str

    @classmethod
    def of(cls, work: Work, given: argparse.Namespace) -> Job:
        """The job of a command; CaeError where its weights cannot be used."""
        # what differs between commands of the same kind would have the weights loaded again
        kept = {name: value for name, value in vars(given).items() if name not in ("inputs", "output", "table", "scheduler")}
        return cls(pickle.dumps(dataclasses.replace(work, given=argparse.Namespace(**kept))), _made_with(given))


def refusal(job: Job, paths: Sequence[str]) -> str | None:
    """Why this process cannot do a job with files in these places; None where it can."""
    try:
        _check(job)
    except CaeError as error:
        return str(error)
    for path in paths:
        if not exists(path):
            return f"{path} is not there; the files must lie where all machines see them, in the same place"
    return None


def make_file(job: Job, source: str, target: str) -> Outcome:
    """Does a task in a thread of a Dask worker; CaeError where this process cannot do the job."""
    from distributed import get_worker

    with _starting:
        doing = _doing(job, get_worker().state.nthreads)
        _collect_warnings()
    _here.warnings = told = []
    try:
        outcome = doing.do(Task(Path(source), Path(target)))
    finally:
        del _here.warnings
    return dataclasses.replace(outcome, warnings=tuple(told))


def _collect_warnings() -> None:
    """From now on, warnings in a thread that does a task are kept with it; all others go where they went."""
    before = warnings.showwarning
    if getattr(before, "collects", False):
        return

    def show(message: Warning | str, *more: object, **named: object) -> None:
        if (told := getattr(_here, "warnings", None)) is None:
            before(message, *more, **named)
        else:
            told.append(str(message))

    show.collects = True
    warnings.showwarning = show
    warnings.filterwarnings("always", category=RuntimeWarning, module="codec")


@functools.lru_cache(maxsize=4)
def _doing(job: Job, tasks: int) -> TaskPool:
    """Does a job's tasks, so many at a time, with weights that are loaded once."""
    from ..runtime import environment

    environment.prepare()
    from ..runtime.threads import thread_count

    work = _check(job)
    count = tasks if work.given.threads is None else thread_count(work.given.threads)
    return TaskPool(work, work.given, count, tasks, lambda _: None)


def _check(job: Job) -> Work:
    work = pickle.loads(job.work)
    mine = _made_with(work.given)
    if mine != job.made_with:
        raise CaeError(f"this worker has {mine}, but the command {job.made_with}; install the same on all machines")
    return work


def _made_with(given: argparse.Namespace) -> str:
    """What files are made with: the codec's version and digests of weights."""
    from ..networks import registry
    from ..networks.weights import MODEL, SIZES, Weights

    named = (getattr(given, "encoder", None), getattr(given, "decoder", None))
    files = registry.find_files(given.weights or registry.default_path(), *named)._asdict()
    if getattr(given, "scale", 1) != 1:
        files[SIZES] = registry.find_sizes(Weights.read(files[MODEL]).id)
    digests = (
        f"{role} {hashlib.sha256(Weights.read(path).data).hexdigest()[:16]}" for role, path in files.items() if path is not None
    )
    return f"cae-codec {__version__}, {', '.join(digests)}"
