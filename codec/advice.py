"""Advice about damage, weights and devices, in terms of the arguments or options of whoever shows an error."""

from __future__ import annotations

from .errors import (
    AdvisableError,
    CutOffError,
    DamageError,
    DeviceError,
    ExcessError,
    MissingEncoderError,
    MissingWeightsError,
)
from .options import DENOISE

DEVICE_ADVICE: dict[type[AdvisableError], str] = {DeviceError: "; use device cpu"}
"""The same for everyone, since the option and the argument have one name."""


def damage_advice(option: str) -> dict[type[AdvisableError], str]:
    """Returns what to do about a damaged file: have errors concealed by an option, for instance."""
    return {
        CutOffError: f"; get the file again, or have damaged tiles filled ({option})",
        ExcessError: f"; get the file again, or have it taken without them ({option})",
        DamageError: f"; get the file again, decode a region without it, or have damaged tiles filled ({option})",
    }


def weights_advice(argument: str) -> dict[type[AdvisableError], str]:
    """Returns what to do where the weights of a file are missing: name them by an argument, for instance."""
    return {MissingWeightsError: f"; pass the weights file that made it ({argument}), or install the release that has it"}


def encoder_advice(encoder: object, argument: str) -> dict[type[AdvisableError], str]:
    """Returns how to train the denoising encoder, if it is not installed, and by which argument to name it; else nothing."""
    if encoder != DENOISE:
        return {}
    how = "cae-train --freeze decoder --denoise, see docs/training.md"
    return {MissingEncoderError: f"; train one ({how}) and name its file with {argument}"}
