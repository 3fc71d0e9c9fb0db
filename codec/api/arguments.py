"""Arguments of a `Codec`, checked and in one form, and how functions show keywords that are declared elsewhere."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import os
import typing
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np

from ..advice import encoder_advice
from ..errors import CaeError, advised
from ..format.limits import PIXELS_MAX
from ..networks import registry
from ..networks.weights import Files
from ..options import TUNES, check_agreement, integer
from ..runtime.device_names import Device, name_of

Function = TypeVar("Function", bound=Callable[..., Any])


class Arguments(TypedDict, total=False):
    """Arguments of `Codec`, which each function of `import codec` takes besides its own; defaults are in `CheckedArguments`."""

    tune: str | None
    weights: str | PathLike[str] | None
    encoder: str | PathLike[str] | None
    decoder: str | PathLike[str] | None
    device: str | Device | None
    threads: int | None
    bf16: bool | None
    pixels_max: int


@dataclasses.dataclass(frozen=True)
class CheckedArguments:
    """`Arguments` in one form, which can be hashed and travel: the weights' absolute path, the device's name, integers as int.

    Raises CaeError where an argument is of the wrong kind; a device that does not work is refused when it is taken.
    """

    tune: str | None = None
    weights: str | PathLike[str] | None = None
    encoder: str | PathLike[str] | None = None
    decoder: str | PathLike[str] | None = None
    device: str | Device | None = None
    threads: int | None = None
    bf16: bool | None = None
    pixels_max: int = PIXELS_MAX

    def __post_init__(self) -> None:
        for name in ("weights", "encoder", "decoder"):
            value = getattr(self, name)
            if not isinstance(value, str | PathLike | None) or (value is not None and not isinstance(os.fspath(value), str)):
                raise CaeError(f"{name} {value!r} is no path to a weights file")
        if self.tune is not None and self.tune not in TUNES:
            raise CaeError(f"tune {self.tune!r} is not {' or '.join(TUNES)}")
        check_agreement({name: name for name in ("tune", "weights") if getattr(self, name) is not None})
        if not isinstance(self.bf16, bool | np.bool_ | None):
            raise CaeError(f"bf16 {self.bf16!r} is not True, False or None")
        checked = {
            "weights": None if self.weights is None else str(Path(self.weights).absolute()),
            "encoder": _absolute(self.encoder),
            "decoder": _absolute(self.decoder),
            "device": name_of(self.device),
            "threads": None if self.threads is None else integer("threads", self.threads),
            "bf16": None if self.bf16 is None else bool(self.bf16),
            "pixels_max": integer("pixels_max", self.pixels_max),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.pixels_max < 1:
            raise CaeError(f"pixels_max {self.pixels_max} is not at least 1")

    @property
    def files(self) -> Files:
        """The weights files to load; CaeError where an encoder or decoder is not installed."""
        model = Path(self.weights) if self.weights else registry.find_model(self.tune) if self.tune else None
        try:
            return registry.find_files(model, self.encoder, self.decoder)
        except CaeError as error:
            raise advised(error, encoder_advice(self.encoder, "encoder=…")) from None


def _absolute(part: str | PathLike[str] | None) -> str | None:
    """Makes a path absolute; keeps the name of an installed file."""
    return None if part is None else os.path.abspath(part) if registry.is_path(part) else os.fspath(part)


def keyword_parameters(keywords: type, checked: type) -> list[inspect.Parameter]:
    """Keyword parameters as a TypedDict declares them, with the defaults of the dataclass that checks their values."""
    defaults = {field.name: field.default for field in dataclasses.fields(checked)}
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
        for name, annotation in typing.get_type_hints(keywords).items()
    ]


def with_parameters(
    options: Iterable[inspect.Parameter] = (), arguments: Iterable[inspect.Parameter] = ()
) -> Callable[[Function], Function]:
    """Shows keyword parameters in a function's signature in place of its `**`: options after `quality`, arguments last."""

    def show(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind != each.VAR_KEYWORD]
        shown = list(itertools.chain.from_iterable((each, *options) if each.name == "quality" else (each,) for each in own))
        function.__signature__ = signature.replace(parameters=[*shown, *arguments])  # type: ignore[attr-defined]
        return function

    return show
