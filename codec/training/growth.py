"""Growth: a larger model, or one of other proportions, that starts from a trained one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..errors import CaeError
from ..networks.config import Config
from ..networks.transforms import TransformBlock
from .autoencoder import Autoencoder
from .initialisation import scale_wide_features

BLOCKS = ("analysis.blocks", "synthesis.blocks")
LEVEL_TABLES = ("log_gain", "logits", "scales.bias", "quality_bias", "log_feature_gain", "log_wide_gain")
"""Ends of the names of tensors with a row for each level."""


def grow(model: Autoencoder, config: Config, patches: Tensor) -> Autoencoder:
    """Makes a model of another configuration that keeps all tensors for which it has room; new blocks are the identity.

    Where feed-forward parts at 1/8 have less room, the units that move least on uint8 patches (P, H, W, 3) are dropped; H and W
    are multiples of 64. Where there are fewer blocks, the middle ones are dropped. The features of first wide blocks are scaled
    by the square root of the latent's deviation on these patches. Further levels go on from the last two.

    Raises CaeError where the configurations differ in more than the transforms' blocks and a larger number of levels.
    """
    model = copy.deepcopy(model).requires_grad_(False)
    levels = torch.linspace(0, model.config.levels - 1, len(patches))
    pixels = patches.float() / 255
    with torch.no_grad():
        _thin(model, config, pixels, levels)
        latent = torch.cat([model.analysis(x - 0.5, level) for x, level in zip(pixels.split(8), levels.split(8), strict=True)])
    for name in BLOCKS:
        blocks = model.get_submodule(name)
        count = config.analysis_blocks if name == BLOCKS[0] else config.synthesis_blocks
        del blocks[1 : 1 + max(0, len(blocks) - count)]
    grown, added = Autoencoder(config), max(0, config.levels - model.config.levels)
    tensors = {
        name: _with_further_rows(value, added) if name.endswith(LEVEL_TABLES) else value
        for name, value in model.state_dict().items()
    }
    try:
        missing, unexpected = grown.load_state_dict(tensors, strict=False)
    except RuntimeError:
        missing, unexpected = [], [""]
    if unexpected or any("blocks." not in name and "wide" not in name for name in missing):
        raise CaeError(
            "the weights cannot grow to this configuration: they differ in more than the transforms' blocks and further levels"
        )
    if not any("wide" in name for name, _ in model.named_parameters()):
        scale_wide_features(grown, latent.std((0, 1, 2)).sqrt())
    return grown


def _with_further_rows(table: Tensor, count: int) -> Tensor:
    """A table (levels, C) with `count` more rows, each as far from the one before as the last two are apart."""
    steps = torch.arange(1, count + 1)[:, None]
    return torch.cat([table, table[-1] + steps * (table[-1] - table[-2])])


def _thin(model: Autoencoder, config: Config, pixels: Tensor, levels: Tensor) -> None:
    """Reduces the feed-forward parts of the synthesis' narrow blocks to as many units as the configuration has."""
    units = config.synthesis_expansion * config.channels
    layers = [block.down for block in model.synthesis.blocks if block.down.in_features > units]
    moments = {layer: torch.zeros(2, layer.in_features) for layer in layers}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        moments[layer] += torch.stack([x.mean((0, 1, 2)), x.square().mean((0, 1, 2))])

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    parts = list(zip(pixels.split(8), levels.split(8), strict=True)) if layers else []
    for x, level in parts:
        model(x, level)
    for hook in hooks:
        hook.remove()
    for block in model.synthesis.blocks:
        if block.down in moments:
            mean, square = moments[block.down] / len(parts)
            _keep_units(block, mean, (square - mean.square()).clamp_min(0).sqrt(), units)


def _keep_units(block: TransformBlock, mean: Tensor, deviation: Tensor, count: int) -> None:
    """Keeps the `count` units whose deviation moves a block's output most; the others' mean goes into the bias."""
    order = (deviation * block.down.weight.norm(dim=0)).argsort(descending=True)
    kept, dropped = order[:count].sort().values, order[count:]
    rows = torch.cat([kept, kept + len(order)])
    up, down = block.up, block.down
    down.bias += down.weight[:, dropped] @ mean[dropped]
    up.weight, up.bias = nn.Parameter(up.weight[rows]), nn.Parameter(up.bias[rows])
    down.weight = nn.Parameter(down.weight[:, kept])
