"""`python -m benchmarks list`: what can be measured here, and what is missing for the rest."""

from __future__ import annotations

import argparse

from ..codecs import registry
from ..core import curves, metrics
from ..core.arguments import add_codec_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_codec_arguments(parser)


def lines(arguments: argparse.Namespace) -> list[str]:
    """The lists as lines of text."""
    text = ["codecs"]
    for codec in registry(arguments.weights, arguments.device, checkpoints=arguments.checkpoints).values():
        reason = codec.available()
        settings = ", ".join(f"{setting:g}" for setting in codec.settings)
        text.append(f"  {codec.name:<18} {codec.label:<24} {f'missing: {reason}' if reason else f'settings {settings}'}")
    text += ["", "metrics"]
    for metric in metrics.METRICS.values():
        reason = metric.available()
        note = f"missing: {reason}" if reason else "default" if metric.name in metrics.DEFAULT_METRICS else ""
        text.append(f"  {metric.name:<18} {metric.label:<24} {note}".rstrip())
    text += ["", "published curves, of the 24 Kodak images"]
    text += [f"  {curve.name:<28} {curve.source}" for curve in curves.published().values()]
    return text


def run(arguments: argparse.Namespace) -> None:
    """Prints the lists."""
    print("\n".join(lines(arguments)))
