"""The exceptions that the codec raises for bad input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self


class CaeError(Exception):
    """Bad input: the message says what is wrong, where, and what to do."""

    def prefixed(self, prefix: str) -> Self:
        """The same error, with `prefix` before its message."""
        return type(self)(f"{prefix}{self}")


class UsageError(CaeError):
    """A command line or options that contradict each other or the command; no file is at fault."""


class SampleError(CaeError):
    """Samples of a picture that do not fit the bit depth named for them."""


class AdvisableError(CaeError):
    """A fact and advice; callers replace the advice by their own, in terms of their options."""

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__(fact, advice)
        self.fact, self.advice = fact, advice

    def __str__(self) -> str:
        return self.fact + self.advice

    def prefixed(self, prefix: str) -> Self:
        return type(self)(f"{prefix}{self.fact}", self.advice)


class CutOffError(AdvisableError):
    """A file ends before its last tile does."""


class ExcessError(AdvisableError):
    """Bytes follow the end of a file's last tile."""


class DamageError(AdvisableError):
    """One part of one tile is damaged, and no other is affected."""


class TooLargeError(AdvisableError):
    """A picture, or the work that a region takes, has more pixels than the limit."""


class MissingWeightsError(AdvisableError):
    """The weights that made a file are not at hand."""


class MissingEncoderError(AdvisableError):
    """No encoder of a name is installed for a model."""


class DeviceError(AdvisableError):
    """A device fails while networks are loaded."""


class NoStatisticsError(AdvisableError):
    """A file holds no statistics of good samples."""


def extra_advice(extra: str) -> str:
    """Returns how to install an extra of this package, which no registry has."""
    return f"install the extra from a checkout of cae-codec: pip install '.[{extra}]'"


def torch_is_missing(purpose: str) -> CaeError:
    """The error where something needs torch and it is not installed."""
    return CaeError(f"{purpose} needs torch; {extra_advice('torch')}")


def advised(error: CaeError, advice: Mapping[type[AdvisableError], str]) -> CaeError:
    """The same error, with the advice for its class if there is any."""
    if isinstance(error, AdvisableError) and type(error) in advice:
        return type(error)(error.fact, advice[type(error)])
    return error
