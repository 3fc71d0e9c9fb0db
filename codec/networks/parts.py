"""Reading of weights files for both implementations of the networks: tables, and how files of several roles fit together.

Knows no torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TypeVar

import numpy as np

from ..entropy.scale_model import SCALES, Multiply, ScaleModel
from ..entropy.symbols import EntropyTables, Priors
from ..errors import CaeError
from ..options import DECODE_SCALES
from . import registry
from .config import Config
from .decoding import DecoderNetworks
from .weights import ENCODER, MODEL, Groups, Values, Weights, read_tables, within

Network = TypeVar("Network")
REDUCED, ENLARGED = "reduced", "enlarged"
"""Groups of the tensors of decoders to smaller and to larger sizes."""
SHARED = ("latent_channels", "hyper_channels", "levels", "quality_levels")
"""Fields of a configuration in which encoders and decoders must agree with their model."""


@contextlib.contextmanager
def explaining(weights: Weights) -> Iterator[None]:
    """Turns errors of forged or foreign weights into CaeError."""
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise CaeError(f"{weights.path}: not a whole weights file of this codec ({error})") from None


def read_exact(config: Config, groups: Groups, multiply: Multiply = np.matmul) -> EntropyTables:
    """Reads what decides a model's symbols from its tensors; LookupError or ValueError where they are none.

    `multiply` is that of `ScaleModel`.
    """
    tables = read_tables(groups["tables"])
    if len(tables) != SCALES:
        raise ValueError(f"{len(tables)} tables, not {SCALES}")
    scales = ScaleModel(groups["scales"], config.latent_channels, config.hyper_channels, multiply)
    return EntropyTables(scales, Priors(groups["priors"], config.hyper_channels), tables)


def config_for(weights: Weights, role: str, model: DecoderNetworks) -> Config:
    """The configuration of a file of another role for a model; CaeError where it is none for this model."""
    own_role, own_id = weights.metadata.get("role"), weights.metadata.get("id")
    if (own_role, own_id) != (role, model.id.hex()):
        if own_id is None:
            holds = "holds something else"
        else:
            holds = f"holds model {own_id}" if own_role == MODEL else f"holds {own_role} weights for model {own_id}"
        article = "an" if role == ENCODER else "a"
        raise CaeError(f"{weights.path}: {holds}, not {article} {role} for model {model.id.hex()}")
    config = weights.config
    if any(getattr(config, name) != getattr(model.config, name) for name in SHARED):
        raise CaeError(f"{weights.path}: has other sizes than the model that it names")
    return config


def with_installed_sizes(
    model: DecoderNetworks, own: Mapping[Fraction, Network], read: Callable[[Weights], Mapping[Fraction, Network]]
) -> Mapping[Fraction, Network]:
    """A model's own decoders to other sizes, with those installed for it; CaeError where their file is damaged.

    None beside a decoder of another file, whose pictures they do not know.
    """
    if model.files.decoder is not None:
        return {}
    path = registry.find_sizes(model.id)
    return own if path is None else {**read(Weights.read(path)), **own}


def resized_parts(groups: Mapping[str, Mapping[str, Values]]) -> Iterator[tuple[Fraction, dict[str, Values]]]:
    """The scales of decoders to other sizes, and the tensors of each.

    Their names in the file begin with "reduced/8/", "enlarged/2/" and so on.
    """
    for scale in DECODE_SCALES:
        group, factor = (REDUCED, scale.denominator) if scale < 1 else (ENLARGED, scale.numerator)
        if tensors := within(groups.get(group, {}), str(factor)):
            yield scale, tensors
