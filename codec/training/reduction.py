"""A decoder of a reduced size, as it is trained for the latents of a finished model."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..networks.model import REDUCED
from ..networks.reduced import ReducedSynthesis, start_from_synthesis
from ..networks.weights import Weights
from ..options import QUALITIES
from ..outputs import replacing
from .autoencoder import Autoencoder
from .export import compact, in_order


class ReducedDecoder(nn.Module):
    """A small decoder, whose parameters are all that is trained; the model that it belongs to stays as it is."""

    def __init__(self, model: Autoencoder, factor: int) -> None:
        super().__init__()
        self.config, self.factor = model.config, factor
        self.network = ReducedSynthesis(model.config, factor)
        middle = torch.tensor([model.config.level(sum(QUALITIES) / len(QUALITIES))])
        start_from_synthesis(self.network, model.synthesis, middle)
        # in a tuple, so that its parameters are not among those of this module
        self._frozen = (model.requires_grad_(False),)

    def _apply(self, *arguments, **named):
        for model in self._frozen:
            model._apply(*arguments, **named)
        return super()._apply(*arguments, **named)

    def forward(
        self, x: Tensor, level: Tensor, noise: torch.Generator | None = None, stream: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Autoencoder` does it, but for the smaller reconstruction."""
        model = self._frozen[0]
        with torch.no_grad():
            y_hat, bits_y, bits_z = model.entropy(model.analysis(x - 0.5, level, stream), level, noise)
        return self.network(y_hat, level, stream) + 0.5, bits_y, bits_z


def export_reduced(model: ReducedDecoder, beside: Path, path: Path, record: str) -> None:
    """Writes the weights file `beside` once more, with this decoder in it; the model's id stays the same."""
    weights = Weights.read(beside)
    tensors = {f"{group}/{name}": value for group, part in weights.tensors().items() for name, value in part.items()}
    prefix = f"{REDUCED}/{model.factor}/"
    tensors = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    tensors |= {prefix + name: value.cpu().contiguous() for name, value in compact(model.network).items()}
    with replacing(path) as file:
        file.write(in_order(save(tensors, weights.metadata | {f"training of 1/{model.factor}": record})))
