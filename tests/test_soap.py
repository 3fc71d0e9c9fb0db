"""The optimiser of training, against another implementation."""

import copy

import pytest
import torch
from pytorch_optimizer import SOAP
from torch import nn

from codec.training.soap import BatchedSOAP

SHAPES = [(6, 6), (6, 6), (4,), (3, 1, 3, 3), (7, 12), (12, 12), (4,), (1, 9), (2, 12, 3)]
"""No side longer than what else there is: a preconditioner of lower rank has many eigenbases."""


def gradients(number: int) -> list[torch.Tensor]:
    """Of unequal size in each direction, so that a wrong basis shows."""
    random = torch.Generator().manual_seed(number)
    return [torch.randn(shape, generator=random) * torch.linspace(0.1, 1, shape[-1]) for shape in SHAPES]


def test_it_takes_the_steps_of_another_implementation():
    """Over several renewals of the eigenbases; sides of 12 are too large to be preconditioned in both."""
    ours = nn.ParameterList([nn.Parameter(value) for value in gradients(0)])
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.01}
    batched = BatchedSOAP(ours, **settings, every=3, largest_side=8)
    other = SOAP(list(theirs), **settings, precondition_frequency=3, max_precondition_dim=8)
    for number in range(1, 12):
        for a, b, gradient in zip(ours, theirs, gradients(number), strict=True):
            a.grad, b.grad = gradient, gradient.clone()
        batched.step()
        other.step()
        assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(ours, theirs, strict=True)), number
    assert not torch.allclose(ours[0], gradients(0)[0], atol=0.02)


def test_the_state_goes_on_where_it_was():
    first = nn.ParameterList([nn.Parameter(value) for value in gradients(0)])
    optimizer = BatchedSOAP(first, 0.01, every=2)
    for number in range(1, 9):
        if number == 5:
            second = copy.deepcopy(first)
            again = BatchedSOAP(second, 0.5, every=2)
            again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for parameter, gradient in zip(first, gradients(number), strict=True):
            parameter.grad = gradient
        optimizer.step()
        if number >= 5:
            for parameter, gradient in zip(second, gradients(number), strict=True):
                parameter.grad = gradient
            again.step()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("count", [1, 9])
def test_equal_shapes_share_their_operations(count):
    parameters = [nn.Parameter(torch.randn(6, 4)) for _ in range(count)]
    optimizer = BatchedSOAP(parameters, 0.01)
    seen = []
    for _ in range(3):
        for parameter in parameters:
            parameter.grad = torch.randn(6, 4)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            optimizer.step()
        seen.append(sum(event.name == "aten::bmm" for event in profiler.events()))
    assert seen[2] == 8


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-3, 1e3])
def test_gradients_of_low_rank_give_numbers(size):
    parameter = torch.nn.Parameter(torch.zeros(192, 96))
    optimizer = BatchedSOAP([parameter], 1e-3)
    for step in range(12):
        random = torch.Generator().manual_seed(step)
        parameter.grad = size * torch.randn(192, 1, generator=random) * torch.randn(1, 96, generator=random)
        optimizer.step()
    assert parameter.isfinite().all()
