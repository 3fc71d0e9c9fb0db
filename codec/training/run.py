"""One training run: its model, optimiser and state, and the steps that it takes. It resumes at any step."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ..errors import CaeError
from ..networks.config import Config
from ..networks.weights import Weights
from ..runtime import devices
from ..runtime.torch_threads import use_in_this_thread
from . import checkpoint
from .autoencoder import Autoencoder
from .data.augmentation import Augmentation
from .data.patches import random_patches
from .decoders.enlarging import EnlargingDecoder
from .decoders.frozen_latent import FrozenLatentDecoder
from .decoders.reduced import ReducedDecoder
from .export import restore
from .freezing import TRAINED_ROLE, freeze
from .gradients import Gradients
from .growth import grow
from .initialisation import start_from_components
from .loss import Objective, validate
from .options import Options
from .processes import Processes
from .soap import BatchedSOAP

FIXED_OPTIONS = ("loss", "freeze", "denoise", "choose_symbols")
"""Options that a run cannot change when it is resumed."""
COMPONENT_PATCHES = 6000
"""Patches of 16 x 16 pixels whose principal components a new model starts from."""
GROWTH_PATCHES = 64


class Run:
    """A training run in a folder: its newest state, `state.safetensors`, and `log.csv`.

    A new model starts from a copy of `initial`, or from principal components of the images.
    """

    def __init__(self, options: Options, config: Config, initial: Autoencoder | None = None) -> None:
        options.check()
        device = devices.choose(options.device)
        self.processes = Processes.join(device)
        count = self.processes.count
        if count > 1:
            if options.steps is None or options.batch % count:
                raise CaeError(f"{count} processes need a budget of --steps, and a batch that is a multiple of {count}")
            device = device if device.type == "cpu" else torch.device("cuda", self.processes.local_rank)
        self.options = options = dataclasses.replace(options, device=str(device))
        self.compute_dtype = torch.bfloat16 if devices.fast_bf16(device) else torch.float32
        torch.manual_seed(options.seed)
        self.model = _build(options, config, initial).to(device)
        self._starts_from_components = options.start_from is None and initial is None
        part = isinstance(self.model, FrozenLatentDecoder) or options.freeze in TRAINED_ROLE
        self.owner = Weights.read(options.start_from).id if part else None
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = BatchedSOAP((p for p in self.model.parameters() if p.requires_grad), options.learning_rate)
        self.objective = Objective(options.distortion, options.denoise, options.choose_symbols)
        self.gradients = Gradients(self.model, options.batch, options.seed, self.compute_dtype, self.processes, self.objective)
        if options.compile:
            alone = isinstance(self.model, FrozenLatentDecoder)
            for transform in (self.model.network,) if alone else (self.model.analysis, self.model.synthesis):
                transform.compile(dynamic=False, backend=options.compiler)
        self.step, self.seconds = 0, 0.0
        try:
            options.run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaeError(f"{options.run}: cannot be the run's folder: {error.strerror or error}") from None
        self.state = options.run / "state.safetensors"

    def progress(self) -> float:
        """The used part of the budget, 0 to 1 or slightly more."""
        if self.options.minutes is not None:
            return self.seconds / (60 * self.options.minutes)
        return self.step / (self.options.steps or 1)

    def learning_rate(self) -> float:
        """The learning rate of this step: warm-up, constant, then linear decay to zero over the last part of the budget.

        A finished run goes on from its decayed weights at the rate that its larger budget gives. This soon beats going on from
        before the decay (WSD-S: Wen et al., 2024, arXiv:2410.05192).
        """
        left = (1 - self.progress()) / self.options.decay
        return self.options.learning_rate * min(1, (self.step + 1) / 200, max(left, 0.002))

    @property
    def identity(self) -> dict[str, str | bool | float | None]:
        """All that must stay the same when the run is resumed: options, and the id of the model whose part is trained."""
        owner = {} if self.owner is None else {"model": self.owner.hex()}
        return {name: getattr(self.options, name) for name in FIXED_OPTIONS} | owner

    def start(self, images: list[Tensor]) -> None:
        """Resumes from the folder's state; without one, sets the initial values of a new or grown model.

        Images are (H, W, 3) uint8. Raises CaeError where the state is of another kind of run.
        """
        if self.state.exists():
            progress = checkpoint.load(self.state, self.model, self.average, self.optimizer)
            self.step, self.seconds = progress["step"], progress["seconds"]
            for name, value in self.identity.items():
                before = progress.get(name, getattr(Options, name, None))
                if before != value:
                    raise CaeError(f"{self.state}: is of a run with {name} {before}, not {value}; use another folder")
            return
        rng = np.random.default_rng(self.options.seed)
        if self._starts_from_components:
            patches = random_patches(images, COMPONENT_PATCHES, 16, [rng] * COMPONENT_PATCHES).cpu()
            start_from_components(self.model, patches)
        elif self.options.grow:
            patches = random_patches(images, GROWTH_PATCHES, 256, [rng] * GROWTH_PATCHES).cpu()
            self.model.load_state_dict(grow(restore(self.options.start_from), self.model.config, patches).state_dict())
        self.average.load_state_dict(self.model.state_dict())

    def save(self) -> None:
        """Saves the state; only the first of several processes does."""
        if not self.processes.is_first:
            return
        progress = {"step": self.step, "seconds": self.seconds}
        checkpoint.save(self.state, self.model, self.average, self.optimizer, progress | self.identity)

    def validate(self, held_out: Iterable[np.ndarray]) -> float:
        """The averaged model's validation loss, to five digits."""
        return round(validate(self.average, held_out, self.options.device, self.compute_dtype, self.objective), 5)

    def batches(self, images: list[Tensor]) -> Iterator[Tensor | None]:
        """Yields endless batches of this process's patches (B, P, P, 3) in [0, 1], made ahead by threads.

        Each patch is a function of the seed, the step and its number in the batch of all processes. A small decoder gets None
        for the steps that it takes on patches from its buffer.
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
        """Updates the model by this process's patches x (B, P, P, 3) in [0, 1]; without x, by patches from the buffer.

        Returns the fields of `StepMeans` (5,), on the model's device.
        """
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        means = self.gradients(x, self.step)
        self.optimizer.step()
        decay = min(self.options.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return means


def _build(options: Options, config: Config, initial: Autoencoder | None) -> Autoencoder | FrozenLatentDecoder:
    """The model or decoder that a run trains, before its first step."""
    if not options.starts_from_finished:
        return Autoencoder(config) if initial is None else copy.deepcopy(initial)
    model = restore(options.start_from)
    if options.freeze is not None:
        freeze(model, options.freeze)
    if options.reduced is None and options.enlarge is None:
        return model
    decoder = ReducedDecoder(model, options.reduced) if options.enlarge is None else EnlargingDecoder(model, options.enlarge)
    decoder.resume(options.start_from)
    return decoder
