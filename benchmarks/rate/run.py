"""`python -m benchmarks run`: measures codecs on images and writes tables and plots."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from codec import CaeError
from codec.options import DEFAULT_EFFORT

from ..codecs import TestedCodec, registry
from ..core import images, metrics, plots, report
from ..core.arguments import add_codec_arguments, add_image_arguments
from ..core.curves import Curve, choose_published, published
from ..core.results import CodecFacts, Results, derive
from ..core.runner import PointTask
from ..core.runner import run as run_tasks
from ..core.store import Store
from ..page import page, pictures

ANCHOR = "jpeg"
# as different in age and kind as the published curves go, and no more than a plot can bear
_PUBLISHED_ON_KODAK = ("BPG 4:4:4", "VVC VTM intra", "mbt2018-mean", "cheng2020-anchor", "ELIC (paper)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = (
        "Into the output folder go points.jsonl (every measurement, reused next time), results.json, points.csv, curves.csv, "
        "bd_rates.csv, bd_rates.md, a plot of each metric as PNG and SVG, and page.html, which shows all of it. An "
        "interrupted run goes on when it is repeated; a codec of another version, or changed weights, are measured anew. "
        "Rates are sizes of whole files. Seconds are kept as they came and are no clean timing: for that there is the "
        "command speed."
    )
    add_image_arguments(parser)
    parser.add_argument("--images", type=int, metavar="N", help="only the first so many images")
    parser.add_argument("--side", type=int, metavar="N", help="only the middle of each image, of such a side")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="output folder (default: results)")
    parser.add_argument(
        "--codecs", metavar="A,B,…", help="codecs to measure (default: all at the usual effort; see the command list)"
    )
    parser.add_argument(
        "--settings",
        action="append",
        default=[],
        metavar="CODEC=S,S,…",
        help="settings of a codec in place of its default ones; a BD-rate needs at least 4",
    )
    parser.add_argument("--metrics", default=",".join(metrics.DEFAULT_METRICS), metavar="A,B,…", help="default: %(default)s")
    parser.add_argument("--anchor", default=ANCHOR, metavar="CODEC", help="codec that BD-rates refer to (default: %(default)s)")
    parser.add_argument(
        "--published",
        metavar="A,B,…",
        help="published curves to show beside the measured ones, all or none (default: some on Kodak, else none)",
    )
    parser.add_argument(
        "-j", "--jobs", type=int, default=2, metavar="N", help="processes, and threads of our codec (default: 2)"
    )
    pictures.add_arguments(parser)
    parser.add_argument("--no-page", action="store_true", help="leave out page.html, for which some images are coded again")
    add_codec_arguments(parser)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _settings(texts: Sequence[str], codecs: dict[str, TestedCodec]) -> dict[str, tuple[float, ...]]:
    settings = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in codecs:
            raise CaeError(f"--settings {text}: there is no codec {name!r}")
        try:
            numbers = [float(value) for value in _names(values)]
        except ValueError:
            raise CaeError(f"--settings {text}: {values!r} is not a list of numbers") from None
        if not numbers or not all(map(math.isfinite, numbers)):
            raise CaeError(f"--settings {text}: name at least one setting, and none that is infinite")
        # whole numbers as such, since several libraries insist on integers
        settings[name] = tuple(sorted({int(number) if number.is_integer() else number for number in numbers}))
    return settings


def choose_codecs(names: str | None, codecs: dict[str, TestedCodec], anchor: str) -> tuple[list[TestedCodec], dict[str, str]]:
    """The chosen codecs that can run, the anchor among them, and for the others the reason why they cannot."""
    usual = [name for name, codec in codecs.items() if getattr(codec, "effort", DEFAULT_EFFORT) == DEFAULT_EFFORT]
    chosen = usual if names is None else _names(names)
    for name in (*chosen, anchor):
        if name not in codecs:
            raise CaeError(f"there is no codec {name!r}; there are {', '.join(codecs)}")
    if anchor not in chosen:
        chosen.append(anchor)
    missing = {name: reason for name in chosen if (reason := codecs[name].available())}
    if anchor in missing:
        raise CaeError(f"the anchor {anchor} cannot run: {missing[anchor]}")
    return [codecs[name] for name in dict.fromkeys(chosen) if name not in missing], missing


def _published(text: str | None, samples: Sequence[images.Sample]) -> list[Curve]:
    kodak = images.is_kodak(list(samples))
    if text is None:
        return choose_published(_PUBLISHED_ON_KODAK) if kodak else []
    if text == "none":
        return []
    if not kodak:
        raise CaeError("the published curves are of the 24 Kodak images and mean nothing beside other images; omit --published")
    return list(published().values()) if text == "all" else choose_published(_names(text))


def benchmark(arguments: argparse.Namespace, codecs_by_name: dict[str, TestedCodec]) -> Results:
    """Measures what is not measured yet, and derives the results. `codecs_by_name` has all codecs."""
    if arguments.jobs < 1:
        raise CaeError(f"--jobs {arguments.jobs}: use at least 1")
    if any(number is not None and number < 1 for number in (arguments.images, arguments.side)):
        raise CaeError("--images and --side: use at least 1")
    settings = _settings(arguments.settings, codecs_by_name)
    codecs, missing = choose_codecs(arguments.codecs, codecs_by_name, arguments.anchor)
    chosen = metrics.choose(_names(arguments.metrics))
    missing |= {metric.name: reason for metric in chosen if (reason := metric.available())}
    chosen = [metric for metric in chosen if metric.name not in missing]
    if not chosen:
        raise CaeError("none of the metrics can be computed here: " + "; ".join(missing.values()))
    samples = images.gather(arguments.dataset, arguments.folder)[: arguments.images]
    if arguments.side is not None:
        samples = [images.sample(item.path, arguments.side) for item in samples]
    curves = _published(arguments.published, samples)
    pictures.choose(arguments.pictures, [item.name for item in samples])  # an unknown name shall not end a long run
    facts = [CodecFacts(codec.name, codec.label, codec.version, settings.get(codec.name, codec.settings)) for codec in codecs]
    tasks = [
        PointTask(item, codec, fact.version, setting)
        for item in samples
        for codec, fact in zip(codecs, facts, strict=True)
        for setting in fact.settings
    ]
    with Store(arguments.out / "points.jsonl") as store:
        points, failures = run_tasks(tasks, [metric.name for metric in chosen], store, arguments.jobs)
    name = "Kodak" if images.is_kodak(samples) else arguments.folder.resolve().name if arguments.folder else "scikit-image"
    return derive(name, samples, facts, chosen, points, arguments.anchor, curves, missing, failures)


def run(arguments: argparse.Namespace) -> None:
    """Measures, writes the files, prints the table."""
    codecs_by_name = registry(arguments.weights, arguments.device, arguments.jobs, arguments.checkpoints)
    results = benchmark(arguments, codecs_by_name)
    paths = [*report.write(results, arguments.out), *plots.write(results, arguments.out)]
    print(report.markdown(results))
    if not arguments.no_page:
        paths.append(
            page.write(
                report.as_json(results), arguments.out, results.samples, codecs_by_name, arguments.pictures, arguments.training
            )
        )
    print(f"wrote {', '.join(path.name for path in paths)} in {os.fspath(arguments.out)}", file=sys.stderr)
    if results.failures:
        raise CaeError(f"{len(results.failures)} points failed; they are listed above and tried again next time")
