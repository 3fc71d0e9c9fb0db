"""A decoder to another size, as it is trained for the latents of a finished model, and its place in a weights file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ...errors import CaeError
from ...networks.registry import find_sizes
from ...networks.tensors import as_tensors
from ...networks.weights import Weights, within
from ...runtime.atomic_write import atomic_write
from ..autoencoder import Autoencoder
from ..export import compact, in_order

TRAINING_RECORD = "training of "
"""Beginning of the metadata entry that records a decoder's training; the decoder's title follows."""


class FrozenLatentDecoder(nn.Module):
    """A decoder that is trained alone: the model that makes its latents is frozen.

    In the weights file its tensors' names begin with `group`, and `title` names it in the metadata.
    """

    group: str
    title: str
    factor = 1
    """Size of the decoded pictures over that of what is coded, where they are larger."""

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
        """Loads the decoder of this kind from a weights file, or from its model's installed decoders, if any has one.

        Raises CaeError where its sizes differ.
        """
        group, _, part = self.group.partition("/")
        weights = Weights.read(path)
        tensors = within(as_tensors(weights.arrays()).get(group, {}), part)
        if not tensors and (installed := find_sizes(weights.id)):
            weights = Weights.read(installed)
            tensors = within(as_tensors(weights.arrays()).get(group, {}), part)
        if tensors:
            try:
                self.network.load_state_dict(tensors)
            except RuntimeError:
                raise CaeError(f"{weights.path}: holds a decoder for {self.title} of other sizes") from None

    def coded_picture(self, x: Tensor) -> Tensor:
        """The pictures that the model codes for pictures x (B, H, W, 3) in [0, 1]."""
        return x

    def decode(self, y: Tensor, level: Tensor, compute_dtype: torch.dtype) -> Tensor:
        """Decodes the latent y to pictures about [0, 1]."""
        return self.network(y, level, compute_dtype) + 0.5

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        noise: torch.Generator | None = None,
        compute_dtype: torch.dtype = torch.float32,
        choose: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Autoencoder.forward`, but the reconstruction has another size than what is coded."""
        y_hat, bits_y, bits_z = self.latent(x, level, noise, compute_dtype, choose)
        return self.decode(y_hat, level, compute_dtype), bits_y, bits_z

    @torch.no_grad()
    def latent(
        self, x: Tensor, level: Tensor, noise: torch.Generator | None, compute_dtype: torch.dtype, choose: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The model's latent of pictures, and its bits: see `Autoencoder.latent`."""
        return self._frozen[0].latent(self.coded_picture(x), level, noise, compute_dtype, choose)


def export_beside(model: FrozenLatentDecoder, beside: Path, path: Path, record: str) -> None:
    """Writes a copy of the weights file `beside` with this decoder in it; the model's id stays the same."""
    weights = Weights.read(beside)
    tensors = {f"{group}/{name}": value for group, part in as_tensors(weights.arrays()).items() for name, value in part.items()}
    prefix = f"{model.group}/"
    tensors = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    tensors |= {prefix + name: value.cpu().contiguous() for name, value in compact(model.network).items()}
    with atomic_write(path) as file:
        file.write(in_order(save(tensors, weights.metadata | {TRAINING_RECORD + model.title: record})))
