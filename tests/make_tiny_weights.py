"""A small untrained model whose entropy networks are random but lively: that of tests/data/tiny.safetensors."""

import numpy as np
import skimage.data
import torch

from codec.networks.config import Config
from codec.networks.layers import EntropyBlock
from codec.networks.transforms import TransformBlock
from codec.training.autoencoder import Autoencoder
from codec.training.data.patches import random_patches
from codec.training.initialisation import start_from_components

CONFIG = Config(
    channels=32, latent_channels=48, hyper_channels=8, entropy_channels=24, analysis_blocks=2, synthesis_blocks=2,
    analysis_wide_blocks=1, synthesis_wide_blocks=1, context_blocks=1, leading_channels=8, levels=4,
    quality_levels=(-0.75, 3.5),
)  # fmt: skip


def make_model() -> Autoencoder:
    """A model that starts from principal components, with random residual branches."""
    torch.manual_seed(1)
    model = Autoencoder(CONFIG)
    photographs = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    rng = np.random.default_rng(1)
    patches = random_patches([torch.from_numpy(photograph) for photograph in photographs], 3000, 16, [rng] * 3000)
    start_from_components(model, patches)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, EntropyBlock):
                module.mix_out.weight.normal_(0, 0.1)
                module.down.weight.normal_(0, 0.1)
        for module in model.modules():
            if isinstance(module, TransformBlock):
                module.mix_out.weight.normal_(0, 0.002)
                module.down.weight.normal_(0, 0.002)
        model.entropy.means.neighbour_weight.fill_(0.2)
        for context in (model.entropy.scales.own, model.entropy.scales.edge, model.entropy.scales.diagonal):
            context.normal_(0, 0.01)
    return model
