"""A decoder of another size, as it is trained for the latents of a finished model."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import CaeError
from ..networks.registry import find_sizes
from ..networks.weights import Weights, within
from ..runtime.atomic_write import atomic_write
from .autoencoder import Autoencoder
from .export import compact, in_order

RECORD = "training of "
"""Beginning of the name that the record of a decoder's training has in the metadata."""


class FrozenLatentDecoder(nn.Module):
    """A decoder, whose parameters are all that is trained; the model that it belongs to stays as it is.

    Its tensors' names begin with `group` in the weights file, whose metadata have the record of its training under `title`.
    """

    group: str
    title: str
    factor = 1
    """How many times larger than what is coded its pictures are, where they are."""

    def __init__(self, model: Autoencoder, network: nn.Module) -> None:
        super().__init__()
        self.config, self.network = model.config, network
        # in a tuple, so that its parameters are not among those of this module
        self._frozen = (model.requires_grad_(False),)

    def _apply(self, *arguments, **named):
        for model in self._frozen:
            model._apply(*arguments, **named)
        return super()._apply(*arguments, **named)

    def resume(self, path: Path) -> None:
        """Goes on from the decoder of this kind in a weights file, or in the installed file of its model's, if there is one.

        CaeError where its sizes differ.
        """
        group, _, part = self.group.partition("/")
        weights = Weights.read(path)
        found = within(weights.tensors().get(group, {}), part)
        if not found and (installed := find_sizes(weights.id)):
            weights = Weights.read(installed)
            found = within(weights.tensors().get(group, {}), part)
        if found:
            try:
                self.network.load_state_dict(found)
            except RuntimeError:
                raise CaeError(f"{weights.path}: holds a decoder for {self.title} of other sizes") from None

    def to_code(self, x: Tensor) -> Tensor:
        """What of pictures x (B, H, W, 3) the model codes."""
        return x

    def decoded(self, y: Tensor, level: Tensor, compute_dtype: torch.dtype) -> Tensor:
        """Pictures about [0, 1] of the latent y."""
        return self.network(y, level, compute_dtype) + 0.5

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        noise: torch.Generator | None = None,
        compute_dtype: torch.dtype = torch.float32,
        choose: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Autoencoder` does it, but for the reconstruction, which has another size than what is coded."""
        y_hat, bits_y, bits_z = self.latent(x, level, noise, compute_dtype, choose)
        return self.decoded(y_hat, level, compute_dtype), bits_y, bits_z

    @torch.no_grad()
    def latent(
        self, x: Tensor, level: Tensor, noise: torch.Generator | None, compute_dtype: torch.dtype, choose: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The model's latent of pictures, and its bits: see `Autoencoder.latent`."""
        return self._frozen[0].latent(self.to_code(x), level, noise, compute_dtype, choose)


def export_beside(model: FrozenLatentDecoder, beside: Path, path: Path, record: str) -> None:
    """Writes the weights file `beside` once more, with this decoder in it; the model's id stays the same."""
    weights = Weights.read(beside)
    tensors = {f"{group}/{name}": value for group, part in weights.tensors().items() for name, value in part.items()}
    prefix = f"{model.group}/"
    tensors = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    tensors |= {prefix + name: value.cpu().contiguous() for name, value in compact(model.network).items()}
    with atomic_write(path) as file:
        file.write(in_order(save(tensors, weights.metadata | {RECORD + model.title: record})))
