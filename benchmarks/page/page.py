"""`python -m benchmarks page`: the results as one HTML file that needs no network."""

from __future__ import annotations

import argparse
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs, get_plotlyjs_version

from codec import CaeError

from ..codecs import TestedCodec, registry
from ..core import images, report
from ..core.arguments import add_codec_arguments, add_image_arguments
from ..core.metrics import METRICS
from . import parts as page_parts
from . import pictures, training_log

PAGE_NAME = "page.html"
_FOLDER = Path(__file__).parent
# the interactive part, in the order in which it runs
_SCRIPTS = ("chart.js", "table.js", "slider.js")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = (
        f"Writes RESULTS/{PAGE_NAME} from RESULTS/results.json. The pictures to compare are encoded and decoded again, so name "
        "the folder or the set of the images, weights and checkpoints as for the command run."
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="output folder of the command run")
    add_image_arguments(parser)
    pictures.add_arguments(parser)
    add_codec_arguments(parser)


def _series(everything: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each curve its points by ascending rate: of the mean first, then of each image, on the scales of the axes."""
    series = []
    for curve in everything["mean_curves"]:
        lines = [_line(curve["bpp"], curve["settings"], curve["values"])]
        if not curve["source"]:
            for image in everything["images"]:
                points = sorted(
                    (point for point in everything["points"] if _belongs(point, curve, image)),
                    key=lambda point: (point["bytes"], point["setting"]),
                )
                values = {name: [point["metrics"][name] for point in points] for name in curve["values"]}
                lines.append(_line([point["bpp"] for point in points], [point["setting"] for point in points], values))
        series.append({"name": curve["name"], "label": curve["label"], "published": bool(curve["source"]), "lines": lines})
    return series


def _belongs(point: Mapping[str, Any], curve: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    return point["codec"] == curve["name"] and point["digest"] == image["digest"]


def _line(bpp: Sequence[float], settings: Sequence[float], values: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    scaled = {
        name: [None if value is None else round(METRICS[name].scale(value), 4) for value in column]
        for name, column in values.items()
        if name in METRICS
    }
    return {"bpp": [round(rate, 5) for rate in bpp], "settings": list(settings), "values": scaled}


def _json(value: object) -> str:
    """JSON that may stand inside a script element, whatever names are in it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def build(
    everything: Mapping[str, Any],
    picture_data: Mapping[str, Any],
    without_pictures: Mapping[str, str],
    training: Path | None = None,
) -> str:
    """The page.

    Args:
        everything: the results as JSON values.
        picture_data: the result of `pictures.make`.
        without_pictures: names of codecs that have no pictures in it, with the reason.
        training: the folder of a training run to show as well.
    """
    labels = {codec["name"]: codec["label"] for codec in everything["codecs"]}
    curves = {
        "metrics": everything["metrics"],
        "images": [image["name"] for image in everything["images"]],
        "series": _series(everything),
    }
    slider = {**picture_data, "labels": labels, "anchor": everything["bd_rate"]["anchor"]}
    return Template((_FOLDER / "template.html").read_text(encoding="utf-8")).substitute(
        dataset=html.escape(everything["dataset"]),
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        facts=page_parts.facts(everything),
        introduction=page_parts.introduction(everything),
        bd_table=page_parts.bd_table(everything),
        codec_table=page_parts.codec_table(everything),
        image_list=page_parts.image_list(everything),
        sources=page_parts.sources(everything),
        gaps=page_parts.gaps(everything, without_pictures),
        training=training_log.section(training),
        curves=_json(curves),
        pictures=_json(slider),
        library=get_plotlyjs(),
        library_version=get_plotlyjs_version(),
        scripts="\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    )


def _usable(
    everything: Mapping[str, Any], codecs_by_name: Mapping[str, TestedCodec]
) -> tuple[list[TestedCodec], dict[str, str]]:
    """The measured codecs that can run here as they were measured, and why the others cannot."""
    usable, reasons = [], {}
    for record in everything["codecs"]:
        codec = codecs_by_name.get(record["name"])
        if codec is None:
            reasons[record["name"]] = "its weights or checkpoints were not named when this page was made"
        elif reason := codec.available():
            reasons[codec.name] = reason
        elif codec.version != record["version"]:
            reasons[codec.name] = f"this page was made where its version is {codec.version}, not the measured one"
        else:
            usable.append(codec)
    return usable, reasons


def write(
    everything: Mapping[str, Any],
    folder: Path,
    samples: Sequence[images.Sample],
    codecs_by_name: Mapping[str, TestedCodec],
    names: str | None = None,
    training: Path | None = None,
) -> Path:
    """Makes the pictures, writes the page, returns its path.

    Args:
        everything: the results as JSON values.
        folder: where the page goes.
        samples: the images to show, or more.
        codecs_by_name: codecs, of which the page shows those in the results that run here.
        names: images to show, see `pictures.choose`.
        training: the folder of a training run to show as well.
    """
    chosen_names = pictures.choose(names, [image["name"] for image in everything["images"]])
    chosen = [image for name in chosen_names for image in everything["images"] if image["name"] == name]
    of_digest = {item.digest: item for item in samples}
    for image in chosen:
        if image["digest"] not in of_digest:
            raise CaeError(f"the image {image['name']} of the results is not there: name its folder, or use --pictures none")
    codecs, reasons = _usable(everything, codecs_by_name)
    picture_data = pictures.make(everything, chosen, of_digest, codecs)
    path = folder / PAGE_NAME
    path.write_text(build(everything, picture_data, reasons if chosen else {}, training), encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CaeError(f"{path}: no such file; the command run makes it")
    try:
        everything = json.loads(path.read_text(encoding="utf-8"))
        schema = everything["schema"]
    except (ValueError, KeyError, TypeError):
        raise CaeError(f"{path}: holds no results of the command run") from None
    if schema != report.SCHEMA:
        raise CaeError(f"{path}: has schema {schema}, not {report.SCHEMA}; run the benchmark again")
    return everything


def run(arguments: argparse.Namespace) -> None:
    """Writes the page of a finished run."""
    everything = _read(arguments.results / "results.json")
    codecs_by_name = registry(arguments.weights, arguments.device, checkpoints=arguments.checkpoints)
    samples = [] if arguments.pictures == "none" else images.gather(arguments.dataset, arguments.folder)
    path = write(everything, arguments.results, samples, codecs_by_name, arguments.pictures, arguments.training)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
