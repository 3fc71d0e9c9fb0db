"""Many files at a time: small pictures side by side, so that reading, networks, entropy coding and writing overlap."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from . import cluster, progress
from .common import one_line, tell
from .planning import Plan
from .side_by_side import TaskPool
from .working import Outcome, Reporter, Task, Work, refusal


def run_many(work: Work, plan: Plan, given: argparse.Namespace, program: str) -> None:
    """Does a plan's tasks, goes on after those that fail, and names them at the end; status 1 where there are such."""
    failed = [(str(path), message) for path, message in plan.refused]
    with Reporter(given) as telling:
        for path, message in failed:
            telling.failed(path, message)
        tasks = []
        for task in plan.tasks:
            if reason := refusal(task, given):
                telling.skipped(str(task.source), str(task.target), reason)
            else:
                tasks.append(task)
        if tasks:
            failed += _run(work, tasks, given, telling)
    for path, message in failed:
        tell(one_line(f"{program}: {message if message.startswith(path) else f'{path}: {message}'}"))
    if failed:
        total = len(plan.tasks) + len(plan.refused)
        sys.exit(f"{program}: {len(failed)} of {total} files failed")


def _run(work: Work, tasks: Sequence[Task], given: argparse.Namespace, telling: Reporter) -> list[tuple[str, str]]:
    """Does tasks; the files that fail, and why."""
    from ..runtime import environment

    environment.prepare()
    failed = []
    done = cluster.do_tasks if given.scheduler is not None else _do_tasks
    with progress.FilesBar(len(tasks), given.quiet) as bar, contextlib.closing(done(work, tasks, given, bar)) as outcomes:
        for task, outcome in outcomes:
            for told in outcome.warnings:
                warnings.warn(told, RuntimeWarning, stacklevel=1)
            if outcome.error is not None:
                failed.append((str(task.source), outcome.error))
                telling.failed(*failed[-1])
            else:
                telling.made(str(task.source), str(task.target), outcome.facts, outcome.seconds)
            bar.add_file()
    return failed


def _do_tasks(
    work: Work, tasks: Sequence[Task], given: argparse.Namespace, bar: progress.FilesBar
) -> Iterator[tuple[Task, Outcome]]:
    """Does tasks on threads of this process; gives them as they are done."""
    from ..runtime.threads import thread_count

    count = thread_count(given.threads)
    doing = TaskPool(work, given, count, len(tasks), bar.add_pixels)
    pool = ThreadPoolExecutor(count)
    try:
        for task, future in _done(pool, doing, tasks, 2 * count):
            yield task, future.result()
    finally:
        doing.stop()
        pool.shutdown(cancel_futures=True)


def _done(
    pool: ThreadPoolExecutor, doing: TaskPool, tasks: Sequence[Task], ahead: int
) -> Iterator[tuple[Task, Future[Outcome]]]:
    """The tasks as they are done, of which no more than `ahead` are begun or wait."""
    pending: dict[Future[Outcome], Task] = {}
    left = iter(tasks)
    while True:
        for task in left:
            pending[pool.submit(doing.do, task)] = task
            if len(pending) >= ahead:
                break
        if not pending:
            return
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future
