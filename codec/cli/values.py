"""Parsers of the values of options. Each raises ArgumentTypeError for text that it does not take."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from ..format.header import TILE_UNIT, TILE_UNITS_MAX
from ..options import is_device_name


def parse_integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """Makes a parser of integers from `least` to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
        value = int(text)
        if value < least or (most is not None and value > most):
            bounds = f"{least} or more" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{value} is out of range; use {bounds}")
        return value

    return parse


def parse_positive(text: str) -> float:
    """Parses a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def parse_tile(text: str) -> int:
    """Parses the side of a tile."""
    most = TILE_UNIT * TILE_UNITS_MAX
    side = parse_integer(TILE_UNIT, most)(text)
    if side % TILE_UNIT:
        raise argparse.ArgumentTypeError(f"tile size {side} is not a multiple of {TILE_UNIT} from {TILE_UNIT} to {most}")
    return side


def parse_bytes(text: str) -> int:
    """Parses a number of bytes: 200000, 200k, 200 kB, 200KiB, 1.5M, in upper or lower case.

    >>> [parse_bytes(text) for text in ("20K", "20kb", "20KiB", "1.5M")]
    [20000, 20000, 20480, 1500000]
    """
    value = _parse_multiple(text, "b")
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 200000, 200k or 1.5M")
    return value


def parse_pixels(text: str) -> int:
    """Parses a number of pixels: 10000000, 10M, 10 MP."""
    value = _parse_multiple(text, "px?|pixels")
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels; write 10000000 or 10M")
    return value


def _parse_multiple(text: str, unit: str) -> int | None:
    """Parses a positive number with a prefix of SI (k, M, G, T) or IEC (Ki, Mi, …) and a unit; None for other text."""
    pattern = rf"\s*([0-9]{{1,18}}(?:\.[0-9]{{1,18}})?)\s*(?:([kmgt])(i)?)?(?:{unit})?\s*"
    match = re.fullmatch(pattern, text, re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    factor = (1024 if match[3] else 1000) ** " kmgt".index((match[2] or " ").lower())
    return int(float(match[1]) * factor) or None if "." in match[1] else int(match[1]) * factor or None


def parse_device(text: str) -> str:
    """Parses the name of a device."""
    if not is_device_name(text):
        raise argparse.ArgumentTypeError(f"device {text!r} is unknown; use auto, cpu, cuda or cuda:N")
    return text


def parse_region(text: str) -> tuple[int, ...]:
    """Parses "x,y,width,height"."""
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(" *[0-9]{1,10} *", part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,width,height")
    return tuple(int(part) for part in parts)
