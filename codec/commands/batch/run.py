"""Runs a command's work on one file or on many."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Sequence

from ...cli.messages import one_line, print_message
from ...cli.standard_streams import is_stream, open_input, open_output
from ...errors import CaeError, UsageError
from . import pool
from .plan import Plan, has_many, make_plan, reason_to_skip
from .progress import FilesBar, PictureBar
from .report import Reporter
from .task import Task, Tools, Work


def run(work: Work, program: str) -> None:
    """Does the work on the files that its arguments name.

    Args:
        work: the command's work.
        program: the command's name, for messages.

    Raises:
        CaeError: if the only file, or the plan for several, fails.
    """
    arguments = work.arguments
    # without -o, a folder as OUT is a mistake
    force = getattr(arguments, "force", False)
    if arguments.has_output_option and has_many(arguments.inputs, arguments.output, force=force):
        work.check_output(f"picture{work.suffix}")
        if arguments.scheduler is not None:
            from . import cluster  # here: asyncio takes a third of the start

            cluster.make_absolute(arguments)
        plan = make_plan(
            arguments.inputs,
            arguments.output,
            work.suffix,
            work.accepts,
            recursive=arguments.recursive,
            keep_suffix=arguments.keep_suffix,
        )
        run_many(work, plan, program)
    elif arguments.scheduler is not None:
        raise UsageError("--scheduler is for many files; name an output folder (-o FOLDER)")
    else:
        run_one(work)


def run_one(work: Work) -> None:
    """Does the work on one file. Input and output may be standard streams."""
    arguments = work.arguments
    reporter = Reporter(as_json=arguments.json, verbose=arguments.verbose)
    (source,), target = arguments.inputs, arguments.output
    try:
        _check_input(source)
        work.check_output(f"picture{work.suffix}" if is_stream(target) else target)
        with open_input(source) as source_path, open_output(target, work.suffix) as target_path:
            task = Task(source_path, target_path)
            if reason := reason_to_skip(task, arguments):
                if arguments.no_overwrite:
                    raise CaeError(f"{target}: {reason}")
                reporter.report_skipped(source, target, reason)
                return
            start = time.monotonic()
            summary = work.run(task, Tools(arguments, arguments.threads, PictureBar(arguments.quiet)))
            seconds = time.monotonic() - start
    except CaeError as error:
        reporter.report_failed(source, str(error))
        raise
    reporter.report_written(source, target, summary, seconds)


def _check_input(source: str) -> None:
    """Raises CaeError where the only input is missing or a folder."""
    if is_stream(source):
        return
    if os.path.isdir(source):
        raise CaeError(f"{source}: is a directory; name an output folder for its files (-o FOLDER)")
    try:
        os.stat(source)
    except (OSError, ValueError) as error:  # the latter for a null byte
        raise CaeError(f"{source}: {getattr(error, 'strerror', None) or error}") from None


def run_many(work: Work, plan: Plan, program: str) -> None:
    """Does a plan's tasks. Goes on after failures, lists them at the end, and exits with status 1 if there are any."""
    arguments = work.arguments
    reporter = Reporter(as_json=arguments.json, verbose=arguments.verbose)
    for refusal in plan.refused:
        for path in refusal.paths:
            reporter.report_failed(str(path), refusal.message)
    failures = []
    tasks = []
    for task in plan.tasks:
        if reason := reason_to_skip(task, arguments):
            reporter.report_skipped(str(task.source), str(task.target), reason)
        else:
            tasks.append(task)
    if tasks:
        failures += _run_tasks(work, tasks, reporter)
    for path, message in failures:
        print_message(one_line(f"{program}: {message if message.startswith(path) else f'{path}: {message}'}"))
    for refusal in plan.refused:
        print_message(one_line(f"{program}: {refusal.message}"))
    if not arguments.quiet:
        reporter.report_end(program, plan.ignored)
    refused = sum(len(refusal.paths) for refusal in plan.refused)
    if failed := len(failures) + refused:
        sys.exit(f"{program}: {failed} of {len(plan.tasks) + refused} files failed")


def _run_tasks(work: Work, tasks: Sequence[Task], reporter: Reporter) -> list[tuple[str, str]]:
    """Does tasks here or on a cluster; returns those that failed as (file, message)."""
    arguments = work.arguments
    failures = []
    if arguments.scheduler is None:
        run_tasks = pool.run_tasks
    else:
        from . import cluster

        run_tasks = cluster.run_tasks
    with (
        FilesBar(len(tasks), arguments.quiet) as bar,
        contextlib.closing(run_tasks(work, tasks, arguments, bar.add_pixels)) as outcomes,
    ):
        for task, outcome in outcomes:
            for message in outcome.warnings:
                warnings.warn(message, RuntimeWarning, stacklevel=1)
            if outcome.error is not None:
                failures.append((str(task.source), outcome.error))
                reporter.report_failed(str(task.source), outcome.error)
            else:
                reporter.report_written(str(task.source), str(task.target), outcome.summary, outcome.seconds)
            bar.add_file()
    return failures
