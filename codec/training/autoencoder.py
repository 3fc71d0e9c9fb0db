"""The whole model in floating point, as it is trained, with its start from principal components."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..networks.config import FEATURE_STRIDE, Config
from ..networks.entropy_model import EntropyModel
from ..networks.layers import space_to_depth
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

        With a generator, its uniform noise replaces rounding in the rate; to `choose`, symbols are those that an encoder
        chooses. Returns the reconstruction (B, H, W, 3), the bits of the latent and of the hyper-latent (B,).
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
        """As `forward`, but gives the reconstructed latent (B, H/16, W/16, N), in pixel units, in place of the pixels."""
        return self.entropy(self.analysis(x - 0.5, level, compute_dtype), level, noise, choose)


def _components(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Standard deviations (count,) and directions (values, count) of the leading principal components."""
    samples = samples.double()
    variance, directions = torch.linalg.eigh(samples.T @ samples / len(samples))
    return variance.flip(0)[:count].clamp_min(1e-9).sqrt().float(), directions.flip(1)[:, :count].float()


def start_from_components(model: Autoencoder, patches: Tensor) -> None:
    """Sets the linear layers to the principal components of uint8 patches (P, 16, 16, 3), and the scales to match.

    The first layer takes the components of 8x8 blocks, divided by the square root of their standard deviation
    (half whitening), the second those of 2x2 groups of these; the synthesis inverts both. The gains start at
    the quantisation step that high-rate theory gives for each lambda.
    """
    config = model.config
    c, n = config.channels, config.latent_channels
    blocks = space_to_depth(patches.float() / 255 - 0.5, FEATURE_STRIDE)
    deviation, inner = _components(blocks.reshape(-1, blocks.shape[-1]), c)
    whitening = deviation.sqrt()
    groups = space_to_depth(blocks @ inner, 2).reshape(len(blocks), -1)
    latent_deviation, outer = _components(groups, n)
    repeated = whitening.repeat(4)[:, None]
    levels = torch.arange(config.levels)
    with torch.no_grad():
        for layer, weight in (
            (model.analysis.patch_in, (inner / whitening).T),
            (model.analysis.to_latent, (outer * repeated).T),
        ):
            layer.weight.copy_(weight)
            layer.bias.zero_()
        model.synthesis.from_latent.start_from(outer / repeated)
        model.synthesis.patch_out.start_from(inner * whitening)
        step = torch.sqrt(26 / (config.rate_weight(levels) * 255**2))
        model.entropy.log_gain.copy_(-step.log()[:, None].expand(-1, n))
        scale_wide_features(model, latent_deviation.sqrt())
        model.entropy.scales.bias.copy_(latent_deviation.log().expand_as(model.entropy.scales.bias))


@torch.no_grad()
def scale_wide_features(model: Autoencoder, unit: Tensor) -> None:
    """Divides the wide blocks' features by a unit for each latent (N,), and leaves what goes in and comes out as it is."""
    analysis, synthesis = model.analysis, model.synthesis
    if len(analysis.wide_blocks):
        analysis.to_latent.weight.div_(unit[:, None])
        analysis.to_latent.bias.div_(unit)
        analysis.log_wide_gain.add_(unit.log())
    if len(synthesis.wide_blocks):
        synthesis.log_wide_gain.sub_(unit.log())
        synthesis.from_latent.scale_inputs(unit)
