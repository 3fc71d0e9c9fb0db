"""The whole model in floating point, as it is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..networks.config import Config
from ..networks.entropy_model import EntropyModel
from ..networks.transforms import Analysis, Synthesis


class Autoencoder(nn.Module):
    """Analysis transform, entropy model and synthesis transform, trained together."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.entropy = EntropyModel(config)
        self.synthesis = Synthesis(config)

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        noise: torch.Generator | None = None,
        compute_dtype: torch.dtype = torch.float32,
        choose: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Codes pixels x (B, H, W, 3) in [0, 1], H and W multiples of 64, at gain levels `level` (B,).

        With a generator, its uniform noise replaces rounding in the rate. With `choose`, symbols are those that an encoder
        chooses by bits and error. Returns the reconstruction (B, H, W, 3) and the bits of latent and hyper-latent, each (B,).
        """
        y_hat, bits_y, bits_z = self.latent(x, level, noise, compute_dtype, choose)
        return self.synthesis(y_hat, level, compute_dtype) + 0.5, bits_y, bits_z

    def latent(
        self,
        x: Tensor,
        level: Tensor,
        noise: torch.Generator | None = None,
        compute_dtype: torch.dtype = torch.float32,
        choose: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, but returns the reconstructed latent (B, H/16, W/16, N), in pixel units, in place of the pixels."""
        return self.entropy(self.analysis(x - 0.5, level, compute_dtype), level, noise, choose)
