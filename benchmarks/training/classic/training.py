"""Training of the classic autoencoder, with the losses after each epoch, to a file of weights and course."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from codec import CaeError
from codec.runtime.atomic_write import atomic_write
from codec.runtime.devices import fast_bf16

from .network import Classic, planes, untrained
from .photographs import Photographs

LOSS_COLUMNS = ("training", "validation", "test")
SAMPLE = 1000
"""Most training pictures whose loss is measured after an epoch, and whose latents show what symbols there are."""


@dataclasses.dataclass(frozen=True)
class ClassicSettings:
    """Settings of a variant's training."""

    epochs: int
    batch: int
    learning_rate: float
    seed: int
    device: str


@dataclasses.dataclass(frozen=True)
class Trained:
    """A variant's file, and its losses (training, validation, test) after each epoch: mean squared errors in [0, 1]."""

    name: str
    path: Path
    losses: list[tuple[float, float, float]]

    @property
    def best(self) -> int:
        """The epoch, from 1, with the lowest validation loss, whose weights are kept; after it over-fitting begins."""
        return 1 + int(np.argmin([validation for _, validation, _ in self.losses]))

    @property
    def over_fits(self) -> bool:
        """True if the training loss fell after the best epoch while the validation loss did not."""
        return self.best < len(self.losses) and self.losses[-1][0] < self.losses[self.best - 1][0]


def train(name: str, path: Path, photographs: Photographs, settings: ClassicSettings) -> Trained:
    """Trains a variant by Adam for the mean squared error, or takes what an earlier call with the same settings left."""
    settings_record = dataclasses.asdict(settings) | {"source": photographs.source, "pictures": len(photographs.train)}
    if path.exists() and (kept := _read(name, path, settings_record)) is not None:
        return kept
    model = untrained(name, settings.seed).to(settings.device)
    optimizer = torch.optim.Adam(model.parameters(), settings.learning_rate)
    parts = [
        torch.from_numpy(np.ascontiguousarray(part)) for part in (photographs.train, photographs.validation, photographs.test)
    ]
    measured = [parts[0][:SAMPLE], *parts[1:]]
    losses: list[tuple[float, float, float]] = []
    best: dict[str, Tensor] = {}
    with tqdm(total=settings.epochs * -(-len(parts[0]) // settings.batch), desc=name, unit="step") as bar:
        for epoch in range(settings.epochs):
            # dropout draws from the global source
            torch.manual_seed(settings.seed * 1_000_003 + epoch)
            model.train()
            for chosen in torch.randperm(len(parts[0])).split(settings.batch):
                optimizer.zero_grad(set_to_none=True)
                _errors(model, parts[0][chosen], settings).mean().backward()
                optimizer.step()
                bar.update()
            model.eval()
            losses.append(tuple(_loss(model, part, settings) for part in measured))
            bar.set_postfix_str(", ".join(f"{label} {loss:.5f}" for label, loss in zip(LOSS_COLUMNS, losses[-1], strict=True)))
            if Trained(name, path, losses).best == epoch + 1:
                best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    with torch.no_grad():
        latents = torch.cat([model.encode(planes(part.to(settings.device))) for part in measured[0].split(settings.batch)])
    tensors = {name: value.cpu().contiguous() for name, value in (model.state_dict() | {"latents": latents}).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(
            safetensors.torch.save(
                tensors, {"variant": name, "told": json.dumps(settings_record), "losses": json.dumps(losses)}
            )
        )
    return Trained(name, path, losses)


@torch.inference_mode()
def _loss(model: Classic, pictures: Tensor, settings: ClassicSettings) -> float:
    """Mean squared error over pictures (N, 96, 96, 3), without dropout."""
    return sum(_errors(model, part, settings).sum().item() for part in pictures.split(settings.batch)) / len(pictures)


def _errors(model: Classic, pictures: Tensor, settings: ClassicSettings) -> Tensor:
    """Mean squared error of each picture (B, 96, 96, 3), with products in bfloat16 where these are fast."""
    device = torch.device(settings.device)
    x = planes(pictures.to(device))
    with torch.autocast(device.type, torch.bfloat16, enabled=fast_bf16(device)):
        decoded = model(x)
    return (decoded.float() - x).square().mean((1, 2, 3))


def _read(name: str, path: Path, settings_record: dict[str, object]) -> Trained | None:
    """An earlier training's result, if its settings were the same."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        if json.loads(metadata["told"]) != settings_record:
            return None
        return Trained(name, path, [tuple(row) for row in json.loads(metadata["losses"])])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError):
        raise CaeError(f"{path}: is no finished training of this benchmark; remove it, or use another folder") from None
