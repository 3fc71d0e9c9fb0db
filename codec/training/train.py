"""The training loop: rate-distortion loss over the whole range of qualities at once, resumable at any step."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import io
import itertools
import json
import math
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import CaeError
from ..networks.config import Config
from ..networks.weights import DENOISING, LOSS, Weights
from ..runtime import devices
from ..runtime.atomic_write import atomic_write
from ..runtime.threads import use_in_this_thread
from . import checkpoint
from .augmentation import Augmentation
from .autoencoder import Autoencoder
from .data import find_images, load_images, random_patches
from .enlarging import EnlargingDecoder
from .export import export, export_part, restore
from .freezing import OTHER, freeze
from .frozen_latent_decoder import FrozenLatentDecoder, export_beside
from .gradients import Gradients
from .growth import grow
from .initialisation import start_from_components
from .loss import Objective, validate
from .options import Options
from .processes import Processes
from .reduction import ReducedDecoder
from .soap import BatchedSOAP

AIM = ("loss", "freeze", "denoise", "choose_symbols")
"""Options that a run cannot change on its way; nor the model that it trains a part for."""
CALIBRATION_IMAGES = 64
GROWTH_PATCHES = 64
COMPILER = "inductor"
"""Of `Options.compile`, as torch.compile calls it."""
COLUMNS = ("step", "hours", "learning_rate", "loss", "bpp", "psnr", "gradient_norm", "validation_loss", "megapixels_per_second")


class Run:
    """One training run in a folder: its newest state, `state.safetensors`, and `log.csv`.

    A new model is trained from `initial`, or from principal components of the images.
    """

    def __init__(self, options: Options, config: Config, initial: Autoencoder | None = None) -> None:
        options.check()
        device = devices.choose(options.device)
        self.processes = Processes.join(device)
        if self.processes.count > 1:
            if options.steps is None or options.batch % self.processes.count:
                count = self.processes.count
                raise CaeError(f"{count} processes need a budget of --steps, and a batch that is a multiple of {count}")
            device = device if device.type == "cpu" else torch.device("cuda", self.processes.local_rank)
        self.options = options = dataclasses.replace(options, device=str(device))
        self.compute_dtype = torch.bfloat16 if devices.fast_bf16(device) else torch.float32
        torch.manual_seed(options.seed)
        fixed = options.start_from is not None and not options.grow
        self._starts_from_components = options.start_from is None and initial is None
        model: Autoencoder | FrozenLatentDecoder
        model = restore(options.start_from) if fixed else copy.deepcopy(initial) or Autoencoder(config)
        if options.reduced is not None:
            model = ReducedDecoder(model, options.reduced)
        if options.enlarge is not None:
            model = EnlargingDecoder(model, options.enlarge)
        if options.freeze is not None:
            freeze(model, options.freeze)
        if isinstance(model, FrozenLatentDecoder):
            model.resume(options.start_from)
        part = isinstance(model, FrozenLatentDecoder) or options.freeze in OTHER
        self.owner = Weights.read(options.start_from).id if part else None
        self.model = model.to(options.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = BatchedSOAP((p for p in self.model.parameters() if p.requires_grad), options.learning_rate)
        self.objective = Objective(options.distortion, options.denoise, options.choose_symbols)
        self.gradients = Gradients(self.model, options.batch, options.seed, self.compute_dtype, self.processes, self.objective)
        if options.compile:
            alone = isinstance(self.model, FrozenLatentDecoder)
            for transform in (self.model.network,) if alone else (self.model.analysis, self.model.synthesis):
                transform.compile(dynamic=False, backend=COMPILER)
        self.step, self.seconds = 0, 0.0
        try:
            options.run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaeError(f"{options.run}: cannot be the run's folder: {error.strerror or error}") from None
        self.state = options.run / "state.safetensors"

    def progress(self) -> float:
        """How much of the budget is used, 0 to 1."""
        if self.options.minutes is not None:
            return self.seconds / (60 * self.options.minutes)
        return self.step / (self.options.steps or 1)

    def learning_rate(self) -> float:
        """Warm-up, constant, then linear decay to zero over the last part of the budget.

        A finished run goes on from its decayed weights, at the rate that its larger budget gives, which is soon ahead of
        going on from before the decay (WSD-S: Wen et al., 2024, arXiv:2410.05192).
        """
        left = (1 - self.progress()) / self.options.decay
        return self.options.learning_rate * min(1, (self.step + 1) / 200, max(left, 0.002))

    @property
    def aim(self) -> dict[str, str | bool | float | None]:
        """The values of those options, and the id of that model."""
        owner = {} if self.owner is None else {"model": self.owner.hex()}
        return {name: getattr(self.options, name) for name in AIM} | owner

    def start(self, images: list[Tensor]) -> None:
        """Resumes where the folder holds a state; else starts from the weights that the options name, or from components."""
        if self.state.exists():
            progress = checkpoint.load(self.state, self.model, self.average, self.optimizer)
            self.step, self.seconds = progress["step"], progress["seconds"]
            for name, now in self.aim.items():
                before = progress.get(name, getattr(Options, name, None))
                if before != now:
                    raise CaeError(f"{self.state}: is of a run with {name} {before}, not {now}; use another folder")
            return
        rng = np.random.default_rng(self.options.seed)
        if self._starts_from_components:
            start_from_components(self.model, random_patches(images, 6000, 16, [rng] * 6000).cpu())
        elif self.options.grow:
            patches = random_patches(images, GROWTH_PATCHES, 256, [rng] * GROWTH_PATCHES).cpu()
            self.model.load_state_dict(grow(restore(self.options.start_from), self.model.config, patches).state_dict())
        self.average.load_state_dict(self.model.state_dict())

    def save(self) -> None:
        if not self.processes.is_first:
            return
        progress = {"step": self.step, "seconds": self.seconds}
        checkpoint.save(self.state, self.model, self.average, self.optimizer, progress | self.aim)

    def validate(self, held_out: list[np.ndarray]) -> float:
        """The averaged model's validation loss, to five digits."""
        return round(validate(self.average, held_out, self.options.device, self.compute_dtype, self.objective), 5)

    def batches(self, images: list[Tensor]) -> Iterator[Tensor | None]:
        """Endless batches of this process's patches (B, P, P, 3) in [0, 1], made ahead by threads.

        Each patch is a function of the seed, the step and its number in the batch of all processes. A small decoder has none
        for the steps that it takes on patches of before.
        """
        options = self.options
        numbers = self.processes.share(options.batch)
        apart = 1 if options.reduced is None else options.replay
        augmentation = Augmentation.named(options.augment, options.overlap)

        def make(step: int) -> Tensor:
            rngs = (np.random.default_rng([options.seed, step, number]) for number in numbers)
            side = options.patch_schedule.at(step, options.patch)
            reduction = options.resolution_schedule.at(step, 1)
            return random_patches(images, len(numbers), side, rngs, augmentation, reduction)

        with ThreadPoolExecutor(options.workers, initializer=use_in_this_thread, initargs=(1,)) as pool:
            upcoming = deque(pool.submit(make, self.step + apart * ahead) for ahead in range(2 * options.workers))
            following = self.step + apart * len(upcoming)
            while True:
                patches = upcoming.popleft().result()
                upcoming.append(pool.submit(make, following))
                following += apart
                yield patches.to(options.device).float() / 255
                yield from itertools.repeat(None, apart - 1)

    def train_step(self, x: Tensor | None) -> Tensor:
        """One update by this process's patches x (B, P, P, 3) in [0, 1]; without any, by patches of before.

        Returns loss, bits per pixel, mean squared error, distortion and gradient norm of the whole step (5,), on its device.
        """
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        measured = self.gradients(x, self.step)
        self.optimizer.step()
        decay = min(self.options.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return measured


class Interrupted(Exception):
    """The process was asked to end; the run's state is saved. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def train(options: Options, config: Config, initial: Autoencoder | None = None) -> Run:
    """Trains until the budget is used; with `options.export`, writes the weights then.

    A new model is trained from `initial`, or from principal components of the images.

    Raises:
        CaeError: for bad options, images or states.
        Interrupted: for SIGINT or SIGTERM.
    """
    run = Run(options, config, initial)
    quiet = options.quiet or not run.processes.is_first
    pictures = load_images(find_images(options.images), options.patch, int(options.memory_gib * 2**30), quiet=quiet)
    held_out = []
    if options.validation is not None and run.processes.is_first:
        held_out = load_images(find_images(options.validation), options.least_side, 2**30, quiet=quiet)
    # on a GPU, patches are cut there
    images = [torch.from_numpy(picture).to(run.options.device) for picture in pictures]
    run.start(images)
    with _signals_noted() as stop:
        score = _loop(run, images, held_out, stop)
    if stop:
        raise Interrupted(stop[0])
    if options.export is not None and run.processes.is_first:
        record: dict[str, Any] = {"steps": run.step, "hours": round(run.seconds / 3600, 2), "images": len(pictures)}
        record["optimizer"] = type(run.optimizer).__name__
        told = ("batch", "patch", "learning_rate", "decay", "average", "seed", "augment", "overlap")
        record |= {name: getattr(options, name) for name in told} | run.aim
        if held_out:
            record["validation_loss"] = run.validate(held_out) if score is None else score
        if isinstance(run.average, FrozenLatentDecoder):
            export_beside(run.average, options.start_from, options.export, json.dumps(record))
            return run
        described = {"licence": options.licence, "training": json.dumps(record)}
        if options.freeze in OTHER:
            if options.denoise:
                described[DENOISING] = "true"
            if options.loss != Options.loss:
                described[LOSS] = options.loss
            export_part(run.average, OTHER[options.freeze], run.owner, options.export, described)
            return run
        chosen = pictures[:: max(1, len(pictures) // CALIBRATION_IMAGES)]
        export(run.average, chosen, options.export, described, held_out)
    return run


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list instead of dying of them, so that the state can be saved first."""
    noted: list[int] = []
    previous = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _loop(run: Run, images: list[Tensor], held_out: list[np.ndarray], stop: list[int]) -> float | None:
    """Steps, log lines, validation and saved states, until the budget is used or `stop` holds a signal.

    Returns the validation loss after the last step, where that was measured.
    """
    options = run.options
    shown = run.processes.is_first
    # the distortion is what the PSNR does not tell
    shows_distortion = options.loss != "mse"
    columns = (*COLUMNS, "distortion") if shows_distortion else COLUMNS
    bar_format = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with (
        _Log(options.run / "log.csv" if shown else None, columns, run.step) as log,
        tqdm(total=1.0, bar_format=bar_format, disable=options.quiet or not shown) as bar,
    ):
        rows: list[Tensor] = []
        pixels = taken = 0
        last = saved = time.monotonic()
        since = run.seconds
        score: float | None = None
        for x in run.batches(images):
            if run.progress() >= 1:
                break
            if run.processes.any(bool(stop), run.step):
                if not stop:
                    # another process was asked
                    stop.append(signal.SIGTERM)
                break
            measured = run.train_step(x)
            if shown:
                rows.append(measured)
            if x is not None:
                taken = run.processes.count * x[..., 0].numel()
            pixels += taken
            bar.update(min(1, run.progress()) - bar.n)
            now = time.monotonic()
            run.step, run.seconds, last = run.step + 1, run.seconds + now - last, now
            ends = run.progress() >= 1
            score = None
            if shown and (ends or run.step % options.log_every == 0):
                loss, bpp, mse, distortion, norm = torch.stack(rows).mean(0).tolist()
                pace = pixels / 1e6 / max(1e-9, run.seconds - since)
                if held_out and (ends or run.step % options.validate_every == 0):
                    score = run.validate(held_out)
                rows.clear()
                since, pixels = run.seconds, 0
                text = "" if score is None else f"{score:.5f}"
                values = (f"{loss:.5f}", f"{bpp:.4f}", f"{-10 * math.log10(mse):.3f}", f"{norm:.3f}", text, f"{pace:.2f}")
                if shows_distortion:
                    values = (*values, f"{distortion:.6f}")
                log.write((run.step, f"{run.seconds / 3600:.4f}", f"{run.learning_rate():.2e}", *values))
                bar.set_postfix_str(
                    f"step {run.step}, loss {loss:.4f}, {bpp:.3f} bpp, validation {text or '-'}, {pace:.1f} MP/s"
                )
            if now - saved > 60 * options.save_every_minutes:
                run.save()
                saved = now
    run.save()
    return score


class _Log:
    """A CSV file that lines are added to, from a step on; without a path, nothing."""

    def __init__(self, path: Path | None, columns: Sequence[str], step: int) -> None:
        self._path, self._columns, self._step = path, columns, step

    def __enter__(self) -> _Log:
        if self._path is not None:
            text = io.StringIO(newline="")
            csv.writer(text).writerows((self._columns, *self._kept()))
            with atomic_write(self._path) as file:
                file.write(text.getvalue().encode())
            self._file = open(self._path, "a", newline="")
        return self

    def _kept(self) -> list[list[str]]:
        """The lines up to the step that the state is of: one that was killed had gone further."""
        if not self._path.exists():
            return []
        with open(self._path, newline="") as file:
            rows = list(csv.reader(file))[1:]
        return [row for row in rows if len(row) == len(self._columns) and row[0].isdigit() and int(row[0]) <= self._step]

    def write(self, row: Sequence[object]) -> None:
        csv.writer(self._file).writerow(row)
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()
