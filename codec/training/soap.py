"""SOAP (Vyas et al., 2025, arXiv:2409.11321) for many parameters of few shapes.

Adam in the eigenbasis of Shampoo's preconditioners. Parameters of equal shape go through one operation together: a step of
a model of 262 parameters takes a few hundred operations, not thousands, of which each costs a GPU its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class BatchedSOAP(torch.optim.Optimizer):
    """Preconditions sides of 2 to `largest_side` values of parameters with two sides or more; the rest takes Adam's steps.

    The eigenbases follow the preconditioners every `every` steps, by one power iteration. The first step only sets them up.
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
        """Numbers of the sides of a shape that are preconditioned."""
        return [side for side, length in enumerate(shape) if 1 < length <= self.largest_side] if len(shape) > 1 else []

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update by the parameters' gradients; all of them must have one."""
        group = self.param_groups[0]
        group["step"] += 1
        for shape, parameters in self._alike.items():
            gradients = [parameter.grad for parameter in parameters]
            x = torch.stack(gradients) if shape else torch.cat([gradient.flatten() for gradient in gradients])[None]
            # the state of all lies with the first, where PyTorch saves and loads it
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
        """State for gradients x (G, …): averages, and for each of these sides a preconditioner and its basis (G, n, n)."""
        moments = [_moment(x, side) * (1 - self.param_groups[0]["betas"][1]) for side in sides]
        bases = [_basis(moment) for moment in moments]
        return {"mean": torch.zeros_like(x), "square": torch.zeros_like(x), "moments": moments, "bases": bases}

    def _change(self, x: Tensor, state: dict[str, Any], sides: list[int]) -> Tensor:
        """What is taken off the parameters (G, …), after the averages have taken in the gradients x (G, …)."""
        group = self.param_groups[0]
        first, second = group["betas"]
        taken = group["step"] - 1
        mean, square = state["mean"], state["square"]
        mean.lerp_(x, 1 - first)
        square.lerp_(_turned(x, sides, state["bases"]).square(), 1 - second)
        direction = _turned(mean, sides, state["bases"]) / square.sqrt().add_(1e-8)
        rate = group["lr"] * math.sqrt(1 - second**taken) / (1 - first**taken)
        return _turned(direction, sides, [basis.mT for basis in state["bases"]]).mul_(rate)

    def _follow(self, x: Tensor, state: dict[str, Any], sides: list[int]) -> None:
        """Lets preconditioners, and now and then their eigenbases, take in the gradients x (G, …)."""
        group, bases = self.param_groups[0], state["bases"]
        for number, side in enumerate(sides):
            moment = state["moments"][number].lerp_(_moment(x, side), 1 - group["betas"][1])
            if (group["step"] - 1) % self.every == 0:
                product = moment @ bases[number]
                order = (bases[number] * product).sum(-2).argsort(-1, descending=True)
                rows = order[(...,) + (None,) * (x.ndim - 2)].movedim(1, 1 + side)
                state["square"] = state["square"].take_along_dim(rows, 1 + side).contiguous()
                # products of another layout round otherwise, and a run that was resumed is to be the same
                bases[number] = torch.linalg.qr(product.take_along_dim(order[:, None], -1))[0].contiguous()


def _moment(x: Tensor, side: int) -> Tensor:
    """Products (G, n, n) of a side of gradients x (G, …) with itself, summed over all other sides."""
    rows = x.movedim(1 + side, 1).flatten(2)
    return rows @ rows.mT


def _basis(moment: Tensor) -> Tensor:
    """Eigenvectors of matrices (G, n, n), those of the largest eigenvalues first."""
    # in float32, and far from 1, single matrices of low rank came out as no numbers
    size = moment.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-30)[:, None, None]
    return torch.linalg.eigh((moment / size).double())[1].to(moment.dtype).flip(-1).contiguous()


def _turned(x: Tensor, sides: list[int], bases: list[Tensor]) -> Tensor:
    """x (G, …) with each of these sides multiplied by its matrix (G, n, n)."""
    for side, basis in zip(sides, bases, strict=True):
        columns = x.movedim(1 + side, -1)
        x = (columns.flatten(1, -2) @ basis).view(columns.shape).movedim(-1, 1 + side)
    return x
