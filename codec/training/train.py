"""The training loop, from pictures to exported weights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..cli.bars import open_bar, show_activity
from ..cli.messages import one_line
from ..networks.config import Config
from ..networks.weights import DENOISING
from .autoencoder import Autoencoder
from .data.images import find_images, load_images
from .decoders.frozen_latent import FrozenLatentDecoder, export_beside
from .export import export, export_part
from .freezing import TRAINED_ROLE
from .log import Meter, TrainingLog
from .options import Options
from .run import Run

CALIBRATION_IMAGES = 64
RECORDED_OPTIONS = ("batch", "patch", "learning_rate", "decay", "average", "seed", "augment", "overlap")
"""Options in the training record of exported weights, beside those that a run cannot change."""


class Interrupted(Exception):
    """The process was asked to end by a signal, of this `number`. The run's state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def train(options: Options, config: Config, initial: Autoencoder | None = None) -> Run:
    """Trains until the budget is used; with `options.export`, writes the weights then.

    A new model starts from a copy of `initial`, or from principal components of the images.

    Raises:
        CaeError: for bad options, images or states.
        Interrupted: for SIGINT or SIGTERM.
    """
    with show_activity(options.quiet, "making the model"):
        run = Run(options, config, initial)
    is_first = run.processes.is_first
    quiet = options.quiet or not is_first
    pictures = load_images(find_images(options.images), options.patch, int(options.memory_gib * 2**30), quiet=quiet)
    held_out = []
    if options.validation is not None and is_first:
        held_out = load_images(find_images(options.validation), options.side_min, 2**30, quiet=quiet)
    # on a GPU, patches are cut there
    images = [torch.from_numpy(picture).to(run.options.device) for picture in pictures]
    with show_activity(quiet, "preparing the model"):
        run.start(images)
    with _signals_collected() as signals:
        validation_loss = _loop(run, images, held_out, signals)
    if signals:
        raise Interrupted(signals[0])
    if options.export is not None and is_first:
        if held_out and validation_loss is None:
            with open_bar(quiet, total=len(held_out), bar_format="{desc} {bar}| {elapsed}") as bar:
                validation_loss = _validate(run, held_out, bar, counts=True)
        name = f"calibrating and writing {one_line(str(options.export))}"
        with open_bar(quiet, desc=name, total=1.0, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}") as bar:
            _export(run, pictures, held_out, validation_loss, lambda done: bar.update(done - bar.n))
    return run


def _export(
    run: Run,
    pictures: list[np.ndarray],
    held_out: list[np.ndarray],
    validation_loss: float | None,
    progress: Callable[[float], None],
) -> None:
    """Writes the averaged model, or the part that was trained, with a record of the training.

    `progress` is called with the part of the calibration that is done, 0 to 1.
    """
    options = run.options
    record: dict[str, Any] = {"steps": run.step, "hours": round(run.seconds / 3600, 2), "images": len(pictures)}
    record["optimizer"] = type(run.optimizer).__name__
    record |= {name: getattr(options, name) for name in RECORDED_OPTIONS} | run.identity
    if validation_loss is not None:
        record["validation_loss"] = validation_loss
    if isinstance(run.average, FrozenLatentDecoder):
        export_beside(run.average, options.start_from, options.export, json.dumps(record))
        return
    metadata = {"licence": options.licence, "training": json.dumps(record)}
    run.average.config = dataclasses.replace(run.average.config, objective=options.loss)
    if options.freeze in TRAINED_ROLE:
        if options.denoise:
            metadata[DENOISING] = "true"
        export_part(run.average, TRAINED_ROLE[options.freeze], run.owner, options.export, metadata)
        return
    chosen = pictures[:: max(1, len(pictures) // CALIBRATION_IMAGES)]
    export(run.average, chosen, options.export, metadata, held_out, progress)


def _validate(run: Run, held_out: list[np.ndarray], bar: tqdm, *, counts: bool = False) -> float:
    """Measures the validation loss. Meanwhile the bar's description counts images; the bar itself where it `counts` them."""

    def images() -> Iterator[np.ndarray]:
        for number, image in enumerate(held_out, 1):
            bar.set_description_str(f"validating, image {number} of {len(held_out)} ")
            yield image
            bar.update(int(counts))

    loss = run.validate(images())
    bar.set_description_str("")
    return loss


@contextlib.contextmanager
def _signals_collected() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list, so that the state can be saved before the process ends."""
    numbers: list[int] = []
    previous = {number: signal.signal(number, lambda n, _: numbers.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield numbers
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _loop(run: Run, images: list[Tensor], held_out: list[np.ndarray], signals: list[int]) -> float | None:
    """Takes steps, logs, validates and saves states, until the budget is used or a signal has come.

    Returns the validation loss after the last step, where it was measured.
    """
    options = run.options
    is_first = run.processes.is_first
    path = options.run / "log.csv" if is_first else None
    bar_format = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    with (
        TrainingLog(path, run.step, with_distortion=options.loss != "mse") as log,
        open_bar(
            options.quiet or not is_first, leave=True, total=1.0, initial=min(1, run.progress()), bar_format=bar_format
        ) as bar,
    ):
        meter = Meter(run.seconds)
        pixels = 0
        last = saved = time.monotonic()
        validation_loss: float | None = None
        for x in run.batches(images):
            if run.progress() >= 1:
                break
            if run.processes.any(bool(signals), run.step):
                if not signals:
                    # another process got one
                    signals.append(signal.SIGTERM)
                break
            if x is not None:
                pixels = run.processes.count * x[..., 0].numel()
            means = run.train_step(x)
            if is_first:
                meter.add(means, pixels)
            bar.update(min(1, run.progress()) - bar.n)
            now = time.monotonic()
            run.step, run.seconds, last = run.step + 1, run.seconds + now - last, now
            ends = run.progress() >= 1
            validation_loss = None
            if is_first and (ends or run.step % options.log_every == 0):
                averages, speed = meter.read(run.seconds)
                if held_out and (ends or run.step % options.validate_every == 0):
                    validation_loss = _validate(run, held_out, bar)
                log.write(run.step, run.seconds, run.learning_rate(), averages, validation_loss, speed)
                validation = "-" if validation_loss is None else f"{validation_loss:.5f}"
                text = f"step {run.step}, loss {averages.loss:.4f}, {averages.bpp:.3f} bpp, validation {validation}"
                bar.set_postfix_str(f"{text}, {speed:.1f} MP/s")
            if now - saved > 60 * options.save_every_minutes:
                run.save()
                saved = now
    run.save()
    return validation_loss
