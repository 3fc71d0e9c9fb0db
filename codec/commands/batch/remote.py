"""Tasks on a worker of a Dask cluster."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import os
import pickle
import threading
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...advice import encoder_advice
from ...cli.messages import advise
from ...errors import CaeError
from ...runtime.warning import collect_warnings
from .pool import TaskPool
from .task import Outcome, Task, Work

_setup_lock = threading.Lock()


@dataclasses.dataclass(frozen=True)
class RemoteWork:
    """A command's work as workers receive it: pickled, with versions of the codec and the weights to compare."""

    pickled: bytes
    versions: str

    @classmethod
    def pack(cls, work: Work) -> RemoteWork:
        """Packs a command's work; raises CaeError where its weights cannot be used."""
        # without the arguments that differ from run to run, workers reuse the weights that they have loaded
        arguments = {
            name: value for name, value in vars(work.arguments).items() if name not in ("inputs", "output", "scheduler")
        }
        packed = dataclasses.replace(work, arguments=argparse.Namespace(**arguments))
        return cls(pickle.dumps(packed), _versions(work.arguments))

    def unpack(self) -> Work:
        """Unpacks the work; raises CaeError if this process has another codec or other weights."""
        work = pickle.loads(self.pickled)
        own = _versions(work.arguments)
        if own != self.versions:
            raise CaeError(f"this worker has {own}, but the command {self.versions}; install the same on all machines")
        return work


def find_problem(remote_work: RemoteWork, paths: Sequence[str]) -> str | None:
    """Returns why this process cannot do the work on files in these places; None if it can."""
    try:
        remote_work.unpack()
    except CaeError as error:
        return str(error)
    for path in paths:
        if not os.path.exists(path):
            return f"{path} is not there; the files must lie where all machines see them, in the same place"
    return None


def run_task(remote_work: RemoteWork, source: str, target: str) -> Outcome:
    """Does a task in a thread of a Dask worker; raises CaeError if this process cannot do the work."""
    from distributed import get_worker

    with _setup_lock:
        pool = _create_pool(remote_work, get_worker().state.nthreads)
    with collect_warnings() as collected:
        outcome = pool.run(Task(Path(source), Path(target)))
    return dataclasses.replace(outcome, warnings=tuple(collected))


@functools.lru_cache(maxsize=4)
def _create_pool(remote_work: RemoteWork, tasks: int) -> TaskPool:
    """Creates a pool for so many tasks at a time. Its weights stay loaded."""
    from ...runtime.threads import thread_count

    work = remote_work.unpack()
    threads = tasks if work.arguments.threads is None else thread_count(work.arguments.threads)
    return TaskPool(work, work.arguments, threads, tasks, lambda _: None)


def _versions(arguments: argparse.Namespace) -> str:
    """Names the codec's version and digests of the weights that a command uses."""
    from ...networks import registry
    from ...networks.weights import MODEL, SIZES, Weights

    encoder, decoder = getattr(arguments, "encoder", None), getattr(arguments, "decoder", None)
    with advise(encoder_advice(encoder, "--encoder")):
        tune = getattr(arguments, "tune", None)
        model = registry.find_model(tune) if tune else arguments.weights
        files = registry.find_files(model, encoder, decoder)._asdict()
    if getattr(arguments, "scale", 1) != 1:
        files[SIZES] = registry.find_sizes(Weights.read(files[MODEL]).id)
    digests = (
        f"{role} {hashlib.sha256(Weights.read(path).data).hexdigest()[:16]}" for role, path in files.items() if path is not None
    )
    return f"cae-codec {__version__}, {', '.join(digests)}"
