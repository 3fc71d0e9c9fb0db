"""SOAP (Vyas et al., 2025, arXiv:2409.11321) for many parameters of few shapes.

It is Adam in the eigenbasis of Shampoo's preconditioners. Parameters of equal shape share their operations: a step of a model
of 262 parameters takes a few hundred operations, not thousands, each of which costs a GPU its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class BatchedSOAP(torch.optim.Optimizer):
    """Preconditions sides of 2 to `largest_side` values of parameters with two sides or more; the others take Adam's steps.

    Every `every` steps one power iteration lets the eigenbases follow the preconditioners. The first step only sets them up.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 1e-4,
        every: int = 10,
        largest_side: int = 200,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "step": 0})
        self.every, self.largest_side = every, largest_side
        alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in self.param_groups[0]["params"]:
            shape = tuple(parameter.shape)
            alike.setdefault(shape if self._sides(shape) else (), []).append(parameter)
        self._alike = alike

    def _sides(self, shape: tuple[int, ...]) -> list[int]:
        """Indices of a shape's sides that are preconditioned."""
        return [side for side, length in enumerate(shape) if 1 < length <= self.largest_side] if len(shape) > 1 else []

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Updates the parameters by their gradients, which all of them must have."""
        group = self.param_groups[0]
        group["step"] += 1
        for shape, parameters in self._alike.items():
            gradients = [parameter.grad for parameter in parameters]
            x = torch.stack(gradients) if shape else torch.cat([gradient.flatten() for gradient in gradients])[None]
            # the first parameter has the state of all, so that PyTorch saves and loads it
            state, sides = self.state[parameters[0]], self._sides(shape)
            if not state:
                state |= self._start(x, sides)
                continue
            change = self._change(x, state, sides)
            changes = change.unbind() if shape else change[0].split([parameter.numel() for parameter in parameters])
            torch._foreach_sub_(parameters, [part.view_as(p) for part, p in zip(changes, parameters, strict=True)])
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            self._follow(x, state, sides)

    def _start(self, x: Tensor, sides: list[int]) -> dict[str, Any]:
        """First state for gradients x (G, …): averages, and for each side a preconditioner and its eigenbasis (G, n, n)."""
        moments = [_moment(x, side) * (1 - self.param_groups[0]["betas"][1]) for side in sides]
        bases = [_basis(moment) for moment in moments]
        return {"mean": torch.zeros_like(x), "square": torch.zeros_like(x), "moments": moments, "bases": bases}

    def _change(self, x: Tensor, state: dict[str, Any], sides: list[int]) -> Tensor:
        """Updates the averages by gradients x (G, …) and returns what to subtract from the parameters (G, …)."""
        group = self.param_groups[0]
        first, second = group["betas"]
        steps_before = group["step"] - 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(x, 1 - first)
        square.lerp_(_rotate(x, sides, state["bases"]).square(), 1 - second)
        direction = _rotate(mean, sides, state["bases"]) / square.sqrt().add_(1e-8)
        rate = group["lr"] * math.sqrt(1 - second**steps_before) / (1 - first**steps_before)
        return _rotate(direction, sides, [basis.mT for basis in state["bases"]]).mul_(rate)

    def _follow(self, x: Tensor, state: dict[str, Any], sides: list[int]) -> None:
        """Updates the preconditioners by gradients x (G, …), and every `every` steps their eigenbases."""
        group, bases = self.param_groups[0], state["bases"]
        for number, side in enumerate(sides):
            moment = state["moments"][number].lerp_(_moment(x, side), 1 - group["betas"][1])
            if (group["step"] - 1) % self.every == 0:
                product = moment @ bases[number]
                order = (bases[number] * product).sum(-2).argsort(-1, descending=True)
                rows = order[(...,) + (None,) * (x.ndim - 2)].movedim(1, 1 + side)
                state["square"] = state["square"].take_along_dim(rows, 1 + side).contiguous()
                # products of another layout round differently, and a resumed run must take the same steps
                bases[number] = torch.linalg.qr(product.take_along_dim(order[:, None], -1))[0].contiguous()


def _moment(x: Tensor, side: int) -> Tensor:
    """Products (G, n, n) of a side of gradients x (G, …) with itself, summed over all other sides."""
    rows = x.movedim(1 + side, 1).flatten(2)
    return rows @ rows.mT


def _basis(moment: Tensor) -> Tensor:
    """Eigenvectors of matrices (G, n, n), those of the largest eigenvalues first."""
    # in float32, and far from 1, a few matrices of low rank gave values that are not finite
    size = moment.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-30)[:, None, None]
    return torch.linalg.eigh((moment / size).double())[1].to(moment.dtype).flip(-1).contiguous()


def _rotate(x: Tensor, sides: list[int], bases: list[Tensor]) -> Tensor:
    """x (G, …) with each of these sides multiplied by its matrix (G, n, n)."""
    for side, basis in zip(sides, bases, strict=True):
        columns = x.movedim(1 + side, -1)
        x = (columns.flatten(1, -2) @ basis).view(columns.shape).movedim(-1, 1 + side)
    return x
