"""The gradient of one step: on several threads of a CPU, on a GPU, and over several processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from ..options import QUALITIES
from ..runtime.torch_threads import use_in_this_thread
from .autoencoder import Autoencoder
from .data.noise import add_camera_noise
from .decoders.frozen_latent import FrozenLatentDecoder
from .decoders.reduced import ReducedDecoder
from .loss import LOSS_LIMIT, PLAIN, Losses, Objective, code_patches, measure_coded_losses, measure_losses
from .processes import Processes
from .replay import CAPACITY, Replay

NORM_LIMIT = 1.0
"""Largest norm of a step's gradient."""


class StepMeans(NamedTuple):
    """Means over the whole batch of a step (see `Losses`), and the norm of its gradient before it was bounded."""

    loss: float
    bpp: float
    mse: float
    distance: float
    norm: float


_MEANS = len(StepMeans._fields) - 1


class Gradients:
    """Differentiates a model's loss; each call leaves the gradients with the parameters.

    On the CPU each thread takes a part of the patches: on two cores a third faster than sharing each operation. Random numbers
    belong to the parts, so that several processes compute the same as one process with as many parts.

    A small decoder's steps are taken on any of the patches that were coded last.
    """

    def __init__(
        self,
        model: Autoencoder | FrozenLatentDecoder,
        batch: int,
        seed: int,
        compute_dtype: torch.dtype,
        processes: Processes,
        objective: Objective = PLAIN,
    ) -> None:
        self.model, self.batch, self.seed, self.compute_dtype, self.processes = model, batch, seed, compute_dtype, processes
        self.objective = objective
        self.parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        threads = torch.get_num_threads()
        self.parts = 1 if self.parameters[0].is_cuda else min(threads, batch // processes.count)
        self.replays: list[Replay] = []
        if isinstance(model, ReducedDecoder):
            self.replays = [Replay(-(-CAPACITY // (self.parts * processes.count))) for _ in range(self.parts)]
        self.pool = ThreadPoolExecutor(self.parts, initializer=use_in_this_thread, initargs=(threads // self.parts,))

    def __call__(self, x: Tensor | None, step: int) -> Tensor:
        """Differentiates the loss of this process's patches x (B, P, P, 3) in [0, 1].

        Gradients are summed over all processes and bounded in norm. For a small decoder, x is coded and kept, if there is an x,
        and the gradients are those of patches from the buffer. Returns the fields of `StepMeans` (5,) on the device, so that a
        GPU need not be waited for.
        """
        level = self._levels(step)[list(self.processes.share(self.batch))]
        level = level.to(self.parameters[0].device, non_blocking=True)
        patches = [None] * self.parts if x is None else x.tensor_split(self.parts)
        parts = (range(self.parts), patches, level.tensor_split(self.parts))
        results = list(self.pool.map(lambda *part: self._differentiate(step, *part), *parts))
        # one tensor for the sum over processes, the norm and its bound
        flat = results[0]
        for result in results[1:]:
            flat += result
        flat = self.processes.sum(flat)
        sizes = [parameter.numel() for parameter in self.parameters]
        means, gradients = flat.split([_MEANS, sum(sizes)])
        norm = gradients.norm()
        # a step that is not finite is left out
        gradients = torch.where(norm.isfinite(), gradients * (NORM_LIMIT / norm).clamp_max(1), 0)
        for parameter, gradient in zip(self.parameters, gradients.split(sizes), strict=True):
            parameter.grad = gradient.view_as(parameter)
        return torch.cat([means, norm[None]])

    def _differentiate(self, step: int, part: int, x: Tensor | None, level: Tensor) -> Tensor:
        """Sums over a part of the patches, in one tensor: the means, then the gradient."""
        measured = self._measure(step, part, x, level)
        loss = measured.loss
        # patches that cannot be coded well must not own the gradient
        bounded = loss * (LOSS_LIMIT / loss.detach()).clamp_max(1)
        gradients = torch.autograd.grad(bounded.sum() / self.batch, self.parameters)
        means = torch.stack([loss, measured.bpp, measured.mse, measured.distance]).detach().sum(1) / self.batch
        return torch.cat([means, *(gradient.flatten() for gradient in gradients)])

    def _measure(self, step: int, part: int, x: Tensor | None, level: Tensor) -> Losses:
        """Losses of a part of the patches; for a small decoder, of as many patches from the buffer."""
        number = 1 + self.parts * self.processes.rank + part
        noise = self._random(step, number, level.device)
        if isinstance(self.model, ReducedDecoder):
            if x is not None:
                fresh = code_patches(self.model, x, level, self.objective, noise=noise, compute_dtype=self.compute_dtype)
                self.replays[part].add(fresh)
            drawn = self.replays[part].draw(len(level), self._random(step, number))
            return measure_coded_losses(self.model, drawn, self.objective, compute_dtype=self.compute_dtype)
        x, target = add_camera_noise(x, noise) if self.objective.denoise else (x, x)
        return measure_losses(
            self.model, x, level, self.objective, target=target, noise=noise, compute_dtype=self.compute_dtype
        )

    def _levels(self, step: int) -> Tensor:
        """The gain level of each patch of the whole batch: one from each of as many equal parts of the range."""
        random = self._random(step, 0)
        fraction = (torch.randperm(self.batch, generator=random) + torch.rand(self.batch, generator=random)) / self.batch
        lowest, highest = (torch.tensor(self.model.config.level(quality)) for quality in (QUALITIES[0], QUALITIES[-1]))
        return torch.lerp(lowest, highest, fraction)

    def _random(self, step: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
        """One of a step's random generators."""
        seed = (self.seed * 1_000_003 + step) * 1_000 + number
        return torch.Generator(device).manual_seed(seed % 2**63)
