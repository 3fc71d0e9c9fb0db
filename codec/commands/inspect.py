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

from ..cli.arguments import add_resource_arguments, create_parser
from ..cli.messages import advise, name_pixel_limit, one_line, prefix_errors, print_message, report_errors
from ..cli.standard_streams import open_input
from ..cli.values import parse_integer
from ..errors import CaeError, NoStatisticsError
from ..options import DEFAULT_INSPECTION_QUALITY, DEFAULT_MAPS, MAPS, QUALITIES
from ..runtime.atomic_write import check_target
from .batch.plan import has_many, make_plan
from .batch.progress import FilesBar

if TYPE_CHECKING:
    from ..api.codec import Codec
    from ..images.picture import Picture
    from ..inspection import CodingMaps, Statistics

DIGITS = 4
"""Decimals of scores that count."""


def main(words: list[str] | None = None) -> None:
    """Runs `cae-inspect` with the words of a command line (None: the process's own)."""
    parser = create_parser(
        "cae-inspect", "Show where pictures depart from pictures without fault: heat maps, and a score for each picture."
    )
    parser.usage = (
        "%(prog)s [options] WEIGHTS PICTURE HEAT.png\n       %(prog)s [options] WEIGHTS PICTURE|FOLDER … HEATS\n"
        "       %(prog)s WEIGHTS --good FOLDER --save FILE"
    )
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="weights file, best fine-tuned on good samples, or 'default', the codec's own",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="PICTURE … HEAT",
        help="pictures or folders of them, and last the heat map or a folder for heat maps",
    )
    parser.add_argument("-o", "--output", metavar="HEAT", help="the heat map or a folder for them, in place of the last file")
    parser.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    parser.add_argument("--keep-suffix", action="store_true", help="name heat maps after whole file names, a.jpg.png")
    samples = parser.add_mutually_exclusive_group()
    samples.add_argument("--good", type=Path, metavar="FOLDER", help="pictures without fault, of the size of those to inspect")
    samples.add_argument("--statistics", type=Path, metavar="FILE", help="statistics that --save has written")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the statistics of --good to a file (.safetensors)")
    parser.add_argument("--map", choices=(*MAPS, "all"), default=DEFAULT_MAPS[0], help="what to compare (default: %(default)s)")
    parser.add_argument(
        "--threshold", type=_finite, metavar="SCORE", help="score of faults (default: the highest of a good sample)"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a picture is above the threshold")
    parser.add_argument(
        "--quality",
        type=parse_integer(QUALITIES[0], QUALITIES[-1]),
        metavar="N",
        help=f"quality to code at (default: {DEFAULT_INSPECTION_QUALITY}, or the statistics')",
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each picture")
    parser.add_argument("--force", action="store_true", help="replace an existing HEAT, which may be a picture")
    add_resource_arguments(parser, weights=False)
    arguments = parser.parse_intermixed_args(words)
    if arguments.output is None and len(arguments.files) > 1:
        arguments.output = arguments.files.pop()
    if bool(arguments.files) != (arguments.output is not None) or not (arguments.files or arguments.save):
        parser.error("the following arguments are required: PICTURE, HEAT")
    if arguments.save and not arguments.good:
        parser.error("--save writes the statistics of good samples; name them (--good FOLDER)")
    if arguments.check and arguments.threshold is None and not (arguments.good or arguments.statistics):
        parser.error("--check needs a threshold: --good, --statistics or --threshold")
    with report_errors(parser.prog, "use fewer threads (-j 1), or smaller pictures"):
        above = _run(arguments)
    if arguments.check and above:
        sys.exit(1)


def _run(arguments: argparse.Namespace) -> int:
    """Inspects the pictures; returns how many are above the threshold."""
    from .. import Codec
    from ..format.limits import PIXELS_MAX
    from ..inspection import Statistics
    from ..networks import registry

    targets = _plan(arguments)
    if arguments.save:
        check_target(arguments.save)
    pixels_max = PIXELS_MAX if arguments.max_pixels is None else arguments.max_pixels
    codec = Codec(
        weights=registry.find_model(arguments.weights),
        device=arguments.device,
        threads=arguments.threads,
        pixels_max=pixels_max,
    )
    with advise({NoStatisticsError: "; make them with --good and --save"}):
        statistics = Statistics.load(arguments.statistics) if arguments.statistics else None
    quality = arguments.quality
    if quality is None:
        quality = statistics.quality if statistics else DEFAULT_INSPECTION_QUALITY
    inspector = _Inspector(codec, quality, pixels_max)
    if arguments.good:
        statistics = inspector.learn(arguments.good)
        if arguments.save:
            statistics.save(arguments.save)
    above, failures = 0, []
    with FilesBar(len(targets), quiet=False) as bar:
        for source, target in targets:
            try:
                above += inspector.inspect(source, target, statistics, arguments)
            except CaeError as error:
                failures.append(error)
            bar.add_file()
    if len(targets) > 1:
        for error in failures:
            print_message(one_line(f"cae-inspect: {error}"))
        if failures:
            raise CaeError(f"{len(failures)} of {len(targets)} files failed")
    elif failures:
        raise failures[0]
    return above


@dataclasses.dataclass(frozen=True)
class _Inspector:
    """Inspects picture files with a codec, at one quality."""

    codec: Codec
    quality: int
    pixels_max: int

    def learn(self, folder: Path) -> Statistics:
        """Computes the statistics of the pictures in a folder."""
        from ..images import streams
        from ..inspection import Statistics

        if not folder.is_dir():
            raise CaeError(f"{folder}: is not a folder; name one of pictures without defects")
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in streams.suffixes())
        if not paths:
            raise CaeError(f"{folder}: holds no pictures")
        samples = []
        with FilesBar(len(paths), quiet=False) as bar:
            for path in paths:
                samples.append(self._measure(path, MAPS)[1])
                bar.add_file()
        return Statistics.from_samples(samples)

    def inspect(self, source: Path, target: Path, statistics: Statistics | None, arguments: argparse.Namespace) -> bool:
        """Writes a picture's heat map and prints its score; returns True if that is above the threshold."""
        from ..images.files import write_image
        from ..images.metadata import select_metadata
        from ..images.picture import from_array
        from ..inspection import Statistics, draw_heat_map

        maps = MAPS if arguments.map == "all" else (arguments.map,)
        # the statistics of a single picture need all of its maps
        picture, coding_maps = self._measure(source, maps if statistics else MAPS)
        with prefix_errors(source):
            compared = statistics or Statistics.from_single(coding_maps)
            heat, score = compared.heat(coding_maps, maps), compared.score(coding_maps, maps)
        threshold = arguments.threshold
        if threshold is None and statistics:
            threshold = statistics.threshold(maps)
        heat_map = from_array(draw_heat_map(heat, picture.colour, threshold))
        write_image(target, dataclasses.replace(heat_map, metadata=select_metadata(picture.metadata, ())))
        # as they are shown: two computations of the same value differ in their last bits
        above = threshold is not None and round(score, DIGITS) > round(threshold, DIGITS)
        facts = {"input": str(source), "output": str(target), "score": round(score, DIGITS), "threshold": threshold}
        if arguments.json:
            print(json.dumps(facts | {"above": above if threshold is not None else None}), flush=True)
        else:
            verdict = "" if threshold is None else f" ({'above' if above else 'not above'} the threshold of {threshold:z.2f})"
            print(one_line(f"{source}: score {score:z.2f}{verdict}"), flush=True)
        return above

    def _measure(self, path: Path, maps: Sequence[str]) -> tuple[Picture, CodingMaps]:
        from ..images.files import read_image

        with open_input(str(path)) as file, name_pixel_limit():
            picture = read_image(file, self.pixels_max)
        with prefix_errors(path):
            return picture, self.codec.inspect(picture.colour, self.quality, maps=maps)


def _plan(arguments: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Returns the pictures with their heat maps' paths; raises CaeError where a heat map cannot be written."""
    from ..images import streams
    from ..images.files import pillow_format

    if not arguments.files:
        return []
    if has_many(arguments.files, arguments.output):
        plan = make_plan(
            arguments.files,
            arguments.output,
            ".png",
            lambda path: path.suffix.lower() in streams.suffixes(),
            recursive=arguments.recursive,
            keep_suffix=arguments.keep_suffix,
        )
        for refusal in plan.refused:
            raise CaeError(refusal.message)
        targets = [(task.source, task.target) for task in plan.tasks]
        for folder in {target.parent for _, target in targets}:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CaeError(f"{folder}: {error.strerror or error}") from None
    else:
        targets = [(Path(arguments.files[0]), Path(arguments.output))]
    for source, target in targets:
        pillow_format(target)
        check_target(target, source)
        if target.exists() and not arguments.force:
            raise CaeError(
                f"{target}: exists already, and may be a picture; name another file for the heat map, or pass --force"
            )
    return targets


def _finite(text: str) -> float:
    """Parses a finite number; raises ArgumentTypeError or ValueError for any other text."""
    if not math.isfinite(value := float(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value
