"""The command `cae-inspect`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CaeError
from ..options import DEFAULT_INSPECTION_QUALITY
from ..runtime.atomic_write import check_target
from . import arguments, common

if TYPE_CHECKING:
    from ..api.codec import Codec
    from ..images.picture import Picture
    from ..inspection import CodingMaps, Statistics

MAPS = ("error", "surprise", "distance", "all")


def main(given: list[str] | None = None) -> None:
    """Entry point of `cae-inspect`."""
    parser = arguments.parser(
        "cae-inspect", "Show where pictures depart from pictures without fault: heat maps, and a score for each picture."
    )
    parser.usage = (
        "%(prog)s [options] WEIGHTS PICTURE HEAT.png\n       %(prog)s [options] WEIGHTS PICTURE … FOLDER\n"
        "       %(prog)s WEIGHTS --good FOLDER --save FILE"
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="weights file, best fine-tuned on good samples, or 'default', the codec's own",
    )
    parser.add_argument("files", nargs="*", metavar="PICTURE … HEAT", help="pictures, and the heat map or a folder for them")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--good", type=Path, metavar="FOLDER", help="pictures without fault, of the size of those to inspect")
    known.add_argument("--statistics", type=Path, metavar="FILE", help="what --save has kept of such")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the statistics of --good (.safetensors)")
    parser.add_argument("--map", choices=MAPS, default="distance", help="what to look at (default: %(default)s)")
    parser.add_argument(
        "--threshold", type=_finite, metavar="SCORE", help="score of faults (default: the highest of a good sample)"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 where a picture is above the threshold")
    parser.add_argument(
        "--quality",
        type=int,
        metavar="N",
        help=f"quality to code at (default: {DEFAULT_INSPECTION_QUALITY}, or the statistics')",
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each picture")
    parser.add_argument("--force", action="store_true", help="write HEAT even where there is a file, which may be a picture")
    arguments.add_running(parser, weights=False)
    parsed = parser.parse_intermixed_args(given)
    if len(parsed.files) == 1 or (not parsed.files and not parsed.save):
        parser.error("the following arguments are required: PICTURE, HEAT")
    if parsed.save and not parsed.good:
        parser.error("--save keeps the statistics of good samples; name them (--good FOLDER)")
    if parsed.check and parsed.threshold is None and not (parsed.good or parsed.statistics):
        parser.error("--check needs a threshold: --good, --statistics or --threshold")
    with common.reporting(parser.prog, "use fewer threads (-j 1), or smaller pictures"):
        above = _inspect(parsed)
    if parsed.check and above:
        sys.exit(1)


def _inspect(parsed: argparse.Namespace) -> int:
    """Does what was asked for, and says how many pictures are above the threshold."""
    from .. import Codec
    from ..format.limits import PIXELS_MAX
    from ..inspection import Statistics
    from ..networks import registry

    targets = _targets([Path(name) for name in parsed.files], parsed.force)
    if parsed.save:
        check_target(parsed.save)
    limit = PIXELS_MAX if parsed.max_pixels is None else parsed.max_pixels
    codec = Codec(weights=registry.find_model(parsed.weights), device=parsed.device, threads=parsed.threads, pixels_max=limit)
    statistics = Statistics.load(parsed.statistics) if parsed.statistics else None
    known = statistics.quality if statistics else DEFAULT_INSPECTION_QUALITY
    quality = known if parsed.quality is None else parsed.quality
    if parsed.good:
        statistics = Statistics.of(_good(parsed.good, codec, quality, limit))
        if parsed.save:
            statistics.save(parsed.save)
    return sum(_one(source, target, codec, statistics, quality, parsed, limit) for source, target in targets)


def _one(
    source: Path,
    target: Path,
    codec: Codec,
    statistics: Statistics | None,
    quality: int,
    parsed: argparse.Namespace,
    limit: int,
) -> bool:
    """Writes a picture's heat map, prints its score, and says whether that is above the threshold."""
    from ..images.files import write_image
    from ..images.metadata import kept
    from ..images.picture import from_array
    from ..inspection import Statistics, shown

    maps = MAPS[:-1] if parsed.map == "all" else (parsed.map,)
    # the statistics of a single picture want all of its traces
    picture, traces = _traced(source, codec, quality, limit, maps if statistics else MAPS[:-1])
    with common.naming(source):
        known = statistics or Statistics.of_itself(traces)
        heat, score = known.heat(traces, maps), known.score(traces, maps)
    threshold = parsed.threshold if parsed.threshold is not None else statistics.threshold(maps) if statistics else None
    map_shown = from_array(shown(heat, picture.colour, threshold))
    write_image(target, dataclasses.replace(map_shown, metadata=kept(picture.metadata, ())))
    above = threshold is not None and score > threshold
    facts = {"input": str(source), "output": str(target), "score": round(score, 4), "threshold": threshold}
    if parsed.json:
        print(json.dumps(facts | {"above": above if threshold is not None else None}), flush=True)
    else:
        verdict = "" if threshold is None else f" ({'above' if above else 'not above'} the threshold of {threshold:.2f})"
        print(common.one_line(f"{source}: score {score:.2f}{verdict}"), flush=True)
    return above


def _traced(path: Path, codec: Codec, quality: int, limit: int, maps: Sequence[str] = MAPS[:-1]) -> tuple[Picture, CodingMaps]:
    from ..images.files import read_image

    picture = read_image(path, limit)
    with common.naming(path):
        return picture, codec.inspect(picture.colour, quality, maps=maps)


def _good(folder: Path, codec: Codec, quality: int, limit: int) -> Sequence[CodingMaps]:
    """The traces of the pictures in a folder."""
    from ..images import streams

    if not folder.is_dir():
        raise CaeError(f"{folder}: is no folder; name one of pictures without fault")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in streams.suffixes())
    if not paths:
        raise CaeError(f"{folder}: holds no pictures")
    return [_traced(path, codec, quality, limit)[1] for path in paths]


def _finite(text: str) -> float:
    """A number; what argparse expects for another text."""
    if not math.isfinite(value := float(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return value


def _targets(files: Sequence[Path], force: bool) -> list[tuple[Path, Path]]:
    """Pictures and where their heat maps go; CaeError where these cannot be written."""
    from ..images.files import check_format

    *sources, output = files or [Path()]
    if len(sources) > 1 or output.is_dir():
        targets = [(source, output / f"{source.stem}.png") for source in sources]
        if len({target for _, target in targets}) < len(targets):
            raise CaeError(f"{output}: several pictures have the same name but for their suffix; inspect them one by one")
        if targets:
            try:
                output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CaeError(f"{output}: {error.strerror or error}") from None
    else:
        targets = [(source, output) for source in sources]
    for source, target in targets:
        check_format(target)
        check_target(target, source)
        if target.exists() and not force:
            raise CaeError(
                f"{target}: exists already, and may be a picture; name another file for the heat map, or pass --force"
            )
    return targets
