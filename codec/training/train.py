"""The training loop: rate-distortion loss over the whole range of qualities at once, resumable at any step."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import json
import math
import signal
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import CaeError
from ..format.tiling import HYPER_STRIDE
from ..networks.config import Config
from ..options import QUALITIES
from ..outputs import check_target
from ..runtime import devices
from . import checkpoint
from .autoencoder import Autoencoder, rate_weights, start_from_components
from .data import find_images, load_images, random_patches, whole_blocks
from .export import export, restore

RATE_BALANCE = 0.45
"""Exponent that weighs each sample's loss by (mean lambda / lambda): without it the highest rates own the gradient."""
NOISY = 0.08
"""Share of patches with noise: photographs alone leave networks free to do anything on noise, screens and dithering."""
LOSS_LIMIT = 4.0
"""Balanced loss beyond which a sample's gradient grows no more; photographs hardly reach it."""
CALIBRATION_IMAGES = 64
COLUMNS = ("step", "hours", "learning_rate", "loss", "bpp", "psnr", "gradient_norm", "validation_loss")


@dataclasses.dataclass(frozen=True)
class Options:
    """What `cae-train` can be told; the run's folder holds its state and its log."""

    images: Path
    run: Path
    validation: Path | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    patch: int = 256
    learning_rate: float = 1e-3
    decay: float = 0.25
    average: float = 0.999
    device: str = "cpu"
    workers: int = 1
    seed: int = 0
    start_from: Path | None = None
    export: Path | None = None
    licence: str = "MIT"
    log_every: int = 100
    save_every_minutes: float = 10
    validate_every: int = 2000
    memory_gib: float = 6
    quiet: bool = False


def rate_distortion(
    model: Autoencoder, x: Tensor, level: Tensor, *, noise: torch.Generator | None = None, stream: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Balanced loss, bits per pixel and mean squared error of each image of x (B, H, W, 3) in [0, 1]: (B,) each."""
    # each weight is cast once: a cache would only be shared, and emptied, by several threads
    with torch.autocast(x.device.type, torch.bfloat16, enabled=stream is torch.bfloat16, cache_enabled=False):
        decoded, bits_y, bits_z = model(x, level, noise, stream)
    bpp = (bits_y + bits_z) / (x.shape[1] * x.shape[2])
    mse = (decoded.float() - x).square().mean((1, 2, 3))
    lam = rate_weights(model.config, level)
    middle = math.sqrt(model.config.lambda_min * model.config.lambda_max)
    return (lam * 255**2 * mse + bpp) * (middle / lam) ** RATE_BALANCE, bpp, mse


def validate(model: Autoencoder, images: list[np.ndarray], device: str, stream: torch.dtype) -> float:
    """Mean balanced loss with real rounding over four levels of every image."""
    losses = []
    with torch.inference_mode():
        for image in images:
            x = whole_blocks(image).to(device)
            for level in np.linspace(0, model.config.levels - 1, 4):
                at = torch.tensor([level], dtype=torch.float32, device=device)
                losses.append(rate_distortion(model, x, at, stream=stream)[0].item())
    return float(np.mean(losses))


def make_optimizer(model: Autoencoder, learning_rate: float) -> torch.optim.Optimizer:
    """SOAP (Vyas et al., 2025, arXiv:2409.11321), which trains codecs in far fewer steps than Adam (arXiv:2601.20769).

    Sides of over 200 are left as they are: that halves what a step of SOAP takes, and the loss falls as fast.
    """
    try:
        from pytorch_optimizer import SOAP
    except ImportError:
        raise CaeError("training needs pytorch_optimizer; install the extra: pip install 'cae-codec[train]'") from None
    return SOAP(
        model.parameters(),
        learning_rate,
        betas=(0.95, 0.95),
        weight_decay=1e-4,
        precondition_frequency=10,
        max_precondition_dim=200,
    )


class Run:
    """One training run in a folder: its newest state, `state.safetensors`, and `log.csv`."""

    def __init__(self, options: Options, config: Config) -> None:
        if (options.steps is None) == (options.minutes is None):
            raise CaeError("training needs either a number of steps or of minutes")
        if not all(map(math.isfinite, (options.minutes or 0, options.learning_rate, options.memory_gib))):
            raise CaeError("minutes, learning rate and memory must be numbers")
        if options.patch < HYPER_STRIDE or options.patch % HYPER_STRIDE:
            raise CaeError(f"patches of {options.patch} pixels: use a multiple of {HYPER_STRIDE}")
        if (
            options.batch < 1
            or options.workers < 1
            or not 0 < options.decay <= 1
            or options.learning_rate <= 0
            or options.memory_gib <= 0
            or (options.steps or options.minutes or 0) <= 0
        ):
            raise CaeError(
                "batch, workers, budget, learning rate and memory must be positive, the decay more than 0 and at most 1"
            )
        if options.seed < 0:
            raise CaeError(f"seed {options.seed}: use 0 or more")
        if options.export is not None:
            check_target(options.export)
        options = dataclasses.replace(options, device=str(devices.choose(options.device)))
        self.options = options
        self.stream = torch.bfloat16 if devices.fast_bf16(torch.device(options.device)) else torch.float32
        torch.manual_seed(options.seed)
        self.model = (restore(options.start_from) if options.start_from else Autoencoder(config)).to(options.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = make_optimizer(self.model, options.learning_rate)
        self.parts = 1 if options.device != "cpu" else min(torch.get_num_threads(), options.batch)
        threads = torch.get_num_threads() // self.parts
        self.pool = ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(threads,))
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

    def start(self, images: list[np.ndarray]) -> None:
        """Resumes where the folder holds a state; else starts from the weights that the options name, or from components."""
        if self.state.exists():
            progress = checkpoint.load(self.state, self.model, self.average, self.optimizer)
            self.step, self.seconds = progress["step"], progress["seconds"]
            return
        if self.options.start_from is None:
            rng = np.random.default_rng(self.options.seed)
            start_from_components(self.model, random_patches(images, 6000, 16, rng))
            self.average.load_state_dict(self.model.state_dict())

    def save(self) -> None:
        progress = {"step": self.step, "seconds": self.seconds}
        checkpoint.save(self.state, self.model, self.average, self.optimizer, progress)

    def validate(self, held_out: list[np.ndarray]) -> float:
        """The averaged model's validation loss, to five digits."""
        return round(validate(self.average, held_out, self.options.device, self.stream), 5)

    def batches(self, images: list[np.ndarray]) -> Iterator[Tensor]:
        """Endless batches (B, P, P, 3) in [0, 1], each a function of the seed and the step, made ahead by threads."""
        options = self.options

        def make(step: int) -> np.ndarray:
            rng = np.random.default_rng([options.seed, step])
            return random_patches(images, options.batch, options.patch, rng, NOISY)

        with ThreadPoolExecutor(options.workers) as pool:
            upcoming = deque(pool.submit(make, self.step + ahead) for ahead in range(2 * options.workers))
            following = self.step + len(upcoming)
            while True:
                patches = upcoming.popleft().result()
                upcoming.append(pool.submit(make, following))
                following += 1
                yield torch.from_numpy(patches).to(options.device).float() / 255

    def train_step(self, x: Tensor) -> tuple[float, float, float, float]:
        """One update; returns loss, bits per pixel, mean squared error and gradient norm.

        On the CPU each thread takes a part of the batch, with noise of its own: a third faster on two cores than sharing
        each operation.
        """
        count = len(x)
        random = self._random(0)
        # one sample from each of B equal parts of the range of levels
        fraction = (torch.randperm(count, generator=random) + torch.rand(count, generator=random)) / count
        config = self.model.config
        lowest, highest = (torch.tensor(config.level(quality)) for quality in (QUALITIES[0], QUALITIES[-1]))
        level = torch.lerp(lowest, highest, fraction).to(x.device)

        def differentiate(number: int, x: Tensor, level: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
            noise = self._random(1 + number, x.device)
            measured = torch.stack(rate_distortion(self.model, x, level, noise=noise, stream=self.stream))
            losses = measured[0]
            # what cannot be coded well must not own the gradient
            bounded = losses * (LOSS_LIMIT / losses.detach()).clamp_max(1)
            return torch.autograd.grad(bounded.sum() / count, parameters), measured.detach().sum(1) / count

        parameters: list[Tensor] = list(self.model.parameters())
        parts = (range(self.parts), x.tensor_split(self.parts), level.tensor_split(self.parts))
        results = list(self.pool.map(differentiate, *parts))
        gradients, means = results[0]
        for more, others in results[1:]:
            torch._foreach_add_(gradients, more)
            means += others
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        decay = min(self.options.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), parameters, 1 - decay)
        loss, bpp, mse = means.tolist()
        return loss, bpp, mse, norm.item()

    def _random(self, number: int, device: torch.device | str = "cpu") -> torch.Generator:
        """A step's source of random numbers, of several."""
        seed = (self.options.seed * 1_000_003 + self.step) * 1_000 + number
        return torch.Generator(device).manual_seed(seed % 2**63)


class Interrupted(Exception):
    """The process was asked to end; the run's state is saved. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def train(options: Options, config: Config) -> Run:
    """Trains until the budget is used; with `options.export`, writes the weights then.

    Raises:
        CaeError: for bad options, images or states.
        Interrupted: for SIGINT or SIGTERM.
    """
    run = Run(options, config)
    limit = int(options.memory_gib * 2**30)
    images = load_images(find_images(options.images), options.patch, limit, quiet=options.quiet)
    held_out = []
    if options.validation is not None:
        held_out = load_images(find_images(options.validation), HYPER_STRIDE, 2**30, quiet=options.quiet)
    run.start(images)
    with _signals_noted() as stop:
        score = _loop(run, images, held_out, stop)
    if stop:
        raise Interrupted(stop[0])
    if options.export is not None:
        record: dict[str, Any] = {"steps": run.step, "hours": round(run.seconds / 3600, 2), "images": len(images)}
        record["optimizer"] = type(run.optimizer).__name__
        record |= {name: getattr(options, name) for name in ("batch", "patch", "learning_rate", "decay", "average", "seed")}
        if held_out:
            record["validation_loss"] = run.validate(held_out) if score is None else score
        chosen = images[:: max(1, len(images) // CALIBRATION_IMAGES)]
        export(run.average, chosen, options.export, {"licence": options.licence, "training": json.dumps(record)}, held_out)
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


def _loop(run: Run, images: list[np.ndarray], held_out: list[np.ndarray], stop: list[int]) -> float | None:
    """Steps, log lines, validation and saved states, until the budget is used or `stop` holds a signal.

    Returns the validation loss after the last step, where that was measured.
    """
    options = run.options
    log_path = options.run / "log.csv"
    fresh = not log_path.exists()
    bar_format = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with open(log_path, "a", newline="") as log, tqdm(total=1.0, bar_format=bar_format, disable=options.quiet) as bar:
        writer = csv.writer(log)
        if fresh:
            writer.writerow(COLUMNS)
        rows: list[tuple[float, ...]] = []
        last = saved = time.monotonic()
        score: float | None = None
        for x in run.batches(images):
            if run.progress() >= 1 or stop:
                break
            rows.append(run.train_step(x))
            bar.update(min(1, run.progress()) - bar.n)
            now = time.monotonic()
            run.step, run.seconds, last = run.step + 1, run.seconds + now - last, now
            ends = run.progress() >= 1
            score = None
            if ends or run.step % options.log_every == 0:
                if held_out and (ends or run.step % options.validate_every == 0):
                    score = run.validate(held_out)
                loss, bpp, mse, norm = np.mean(rows, axis=0)
                rows.clear()
                shown = "" if score is None else f"{score:.5f}"
                values = (f"{loss:.5f}", f"{bpp:.4f}", f"{-10 * math.log10(mse):.3f}", f"{norm:.3f}", shown)
                writer.writerow((run.step, f"{run.seconds / 3600:.4f}", f"{run.learning_rate():.2e}", *values))
                log.flush()
                bar.set_postfix_str(f"step {run.step}, loss {loss:.4f}, {bpp:.3f} bpp, validation {shown or '-'}")
            if now - saved > 60 * options.save_every_minutes:
                run.save()
                saved = now
    run.save()
    return score
