"""The gradient of one step: on several threads of a CPU, on a GPU, and over several processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ..options import QUALITIES
from ..runtime.threads import use_in_this_thread
from .autoencoder import Autoencoder
from .denoising import degraded
from .frozen_latent_decoder import FrozenLatentDecoder
from .loss import LOSS_LIMIT, PLAIN, Measured, Objective, coded, distortion_of_coded, rate_distortion
from .processes import Processes
from .reduction import ReducedDecoder
from .replay import CAPACITY, Replay

MEANS = 4
"""How many means a step measures, before the gradients."""
NORM_LIMIT = 1.0
"""Largest norm of a step's gradient."""


class Gradients:
    """Differentiates a model's loss; each call leaves the gradients with the parameters.

    On the CPU each thread takes a part of the patches: a third faster on two cores than sharing each operation. The
    random numbers belong to the parts, so that processes give what as many parts in one process give.

    The steps of a small decoder are taken on any of the patches that were coded last.
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
        """Gradients of this process's patches x (B, P, P, 3) in [0, 1], summed over all processes and bounded in norm.

        For a small decoder, x is coded and kept, if there is an x, and the gradients are those of patches that were kept.
        Returns loss, bits per pixel, mean squared error, distortion and gradient norm of the whole step (5,), without waiting
        for a GPU.
        """
        level = self._levels(step)[list(self.processes.share(self.batch))]
        level = level.to(self.parameters[0].device, non_blocking=True)
        patches = [None] * self.parts if x is None else x.tensor_split(self.parts)
        parts = (range(self.parts), patches, level.tensor_split(self.parts))
        results = list(self.pool.map(lambda *part: self._differentiate(step, *part), *parts))
        # one tensor for the sum over processes, the norm and its bound
        flat = results[0]
        for more in results[1:]:
            flat += more
        flat = self.processes.sum(flat)
        sizes = [parameter.numel() for parameter in self.parameters]
        means, gradients = flat.split([MEANS, sum(sizes)])
        norm = gradients.norm()
        # a step that is not finite is left out
        gradients = torch.where(norm.isfinite(), gradients * (NORM_LIMIT / norm).clamp_max(1), 0)
        for parameter, gradient in zip(self.parameters, gradients.split(sizes), strict=True):
            parameter.grad = gradient.view_as(parameter)
        return torch.cat([means, norm[None]])

    def _measured(self, step: int, part: int, x: Tensor | None, level: Tensor) -> Measured:
        """What is known of a part of the patches, or of as many that were kept."""
        number = 1 + self.parts * self.processes.rank + part
        noise = self._random(step, number, level.device)
        if isinstance(self.model, ReducedDecoder):
            if x is not None:
                fresh = coded(self.model, x, level, self.objective, noise=noise, compute_dtype=self.compute_dtype)
                self.replays[part].add(fresh)
            drawn = self.replays[part].draw(len(level), self._random(step, number))
            return distortion_of_coded(self.model, drawn, self.objective, compute_dtype=self.compute_dtype)
        x, wanted = degraded(x, noise) if self.objective.denoise else (x, x)
        return rate_distortion(
            self.model, x, level, self.objective, wanted=wanted, noise=noise, compute_dtype=self.compute_dtype
        )

    def _differentiate(self, step: int, part: int, x: Tensor | None, level: Tensor) -> Tensor:
        """Sums over a part of the patches, in one tensor: the means, then the gradient."""
        made = self._measured(step, part, x, level)
        loss = made.loss
        # what cannot be coded well must not own the gradient
        bounded = loss * (LOSS_LIMIT / loss.detach()).clamp_max(1)
        gradients = torch.autograd.grad(bounded.sum() / self.batch, self.parameters)
        means = torch.stack([loss, made.bpp, made.mse, made.distance]).detach().sum(1) / self.batch
        return torch.cat([means, *(gradient.flatten() for gradient in gradients)])

    def _levels(self, step: int) -> Tensor:
        """The gain level of each patch of the whole batch: one from each of as many equal parts of the range."""
        random = self._random(step, 0)
        fraction = (torch.randperm(self.batch, generator=random) + torch.rand(self.batch, generator=random)) / self.batch
        lowest, highest = (torch.tensor(self.model.config.level(quality)) for quality in (QUALITIES[0], QUALITIES[-1]))
        return torch.lerp(lowest, highest, fraction)

    def _random(self, step: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
        """A step's source of random numbers, of several."""
        seed = (self.seed * 1_000_003 + step) * 1_000 + number
        return torch.Generator(device).manual_seed(seed % 2**63)
