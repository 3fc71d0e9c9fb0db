"""Initial values: of a model from principal components, of decoders to other sizes from the model's own decoder."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..format.geometry import LATENT_STRIDE
from ..networks.config import FEATURE_STRIDE
from ..networks.enlarging import EnlargedSynthesis
from ..networks.layers import depth_to_space, interpolate_levels, space_to_depth
from ..networks.reduced import ReducedSynthesis
from ..networks.transforms import Synthesis
from .autoencoder import Autoencoder


@torch.no_grad()
def start_from_components(model: Autoencoder, patches: Tensor) -> None:
    """Sets the linear layers to the principal components of uint8 patches (P, 16, 16, 3), and the scales to match.

    The first layer takes the components of 8x8 blocks, divided by the square root of their standard deviation (half
    whitening). The second takes the components of 2x2 groups of these, and the synthesis inverts both. The gains start at the
    quantisation step that high-rate theory gives for each lambda.
    """
    config = model.config
    c, n = config.channels, config.latent_channels
    blocks = space_to_depth(patches.float() / 255 - 0.5, FEATURE_STRIDE)
    deviation, inner = _components(blocks.reshape(-1, blocks.shape[-1]), c)
    whitening = deviation.sqrt()
    groups = space_to_depth(blocks @ inner, 2).reshape(len(blocks), -1)
    latent_deviation, outer = _components(groups, n)
    repeated = whitening.repeat(4)[:, None]
    for layer, weight in (
        (model.analysis.patch_in, (inner / whitening).T),
        (model.analysis.to_latent, (outer * repeated).T),
        (model.synthesis.from_latent, outer / repeated),
        (model.synthesis.patch_out, inner * whitening),
    ):
        layer.weight.copy_(weight)
        layer.bias.zero_()
    step = torch.sqrt(26 / (config.lmbda(torch.arange(config.levels)) * 255**2))
    model.entropy.log_gain.copy_(-step.log()[:, None].expand(-1, n))
    scale_wide_features(model, latent_deviation.sqrt())
    model.entropy.scales.bias.copy_(latent_deviation.log().expand_as(model.entropy.scales.bias))


def _components(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Standard deviations (count,) and directions (values, count) of the leading principal components."""
    samples = samples.double()
    variance, directions = torch.linalg.eigh(samples.T @ samples / len(samples))
    return variance.flip(0)[:count].clamp_min(1e-9).sqrt().float(), directions.flip(1)[:, :count].float()


@torch.no_grad()
def scale_wide_features(model: Autoencoder, unit: Tensor) -> None:
    """Divides the wide blocks' features by a unit for each latent channel (N,); the model's latent and pixels stay the same."""
    analysis, synthesis = model.analysis, model.synthesis
    if len(analysis.wide_blocks):
        analysis.to_latent.weight.div_(unit[:, None])
        analysis.to_latent.bias.div_(unit)
        analysis.log_wide_gain.add_(unit.log())
    if len(synthesis.wide_blocks):
        synthesis.log_wide_gain.sub_(unit.log())
        synthesis.from_latent.weight.mul_(unit)


@torch.no_grad()
def initialise_enlarged(network: EnlargedSynthesis, synthesis: Synthesis) -> None:
    """Sets a decoder that enlarges to the synthesis followed by bicubic interpolation of each position's pixels."""
    before, after = synthesis.patch_out, network.patch_out.direct
    common = {name: value for name, value in synthesis.state_dict().items() if not name.startswith("patch_out.")}
    network.load_state_dict(common, strict=False)
    # a column of weights is what one feature adds to the pixels of its position
    columns = torch.cat([before.weight.T, before.bias[None]])[:, None, None]
    patches = depth_to_space(columns, before.factor).permute(0, 3, 1, 2)
    larger = F.interpolate(patches, (after.factor, after.factor), mode="bicubic").permute(0, 2, 3, 1)
    values = space_to_depth(larger, after.factor).flatten(1)
    after.weight.copy_(values[:-1].T)
    after.bias.copy_(values[-1])


@torch.no_grad()
def initialise_reduced(network: ReducedSynthesis, synthesis: Synthesis, level: Tensor) -> None:
    """Sets a small decoder to the synthesis' linear layers at a gain level (1,), followed by averages over areas.

    Their product is approximated by its largest singular values, the best for its rank. Channels beyond them keep their random
    weights on the way in, and get zeros on the way out.
    """
    latents = torch.cat([torch.eye(network.from_latent.in_features), torch.zeros(1, network.from_latent.in_features)])
    latents = latents[:, None, None]
    if len(synthesis.wide_blocks):
        latents = latents * interpolate_levels(synthesis.log_wide_gain, level).exp()
    patch = synthesis.patch_out(synthesis.from_latent(latents) * interpolate_levels(synthesis.log_feature_gain, level).exp())
    factor = LATENT_STRIDE // network.side
    reduced = patch.unflatten(1, (network.side, factor)).unflatten(3, (network.side, factor)).mean((2, 4))
    values = space_to_depth(reduced, network.side).flatten(1)
    product = (values[:-1] - values[-1]).T
    left, sizes, right = torch.linalg.svd(product, full_matrices=False)
    count = min(len(sizes), network.from_latent.out_features)
    roots = sizes[:count].sqrt()
    network.from_latent.weight[:count] = roots[:, None] * right[:count]
    network.from_latent.bias.zero_()
    network.patch_out.weight.zero_()
    network.patch_out.weight[:, :count] = left[:, :count] * roots
    network.patch_out.bias.copy_(values[-1])
