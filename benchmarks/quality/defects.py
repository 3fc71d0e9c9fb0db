"""Defects drawn on textures, found by what the codec knows of a picture: error, surprise and distance compared."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from codec import CaeError, Codec
from codec.inspection import DEFAULT_MAPS, MAPS, Statistics, draw_heat_map
from codec.options import DEFAULT_INSPECTION_QUALITY

from ..core.arguments import add_weights_argument
from .defective_textures import DEFECTS, TEXTURE_SIDE, TEXTURES, TextureSample, crops, samples

RANKINGS = {**{name: (name,) for name in MAPS}, "error and surprise": ("error", "surprise"), "all": MAPS}
SETS = ("test", "validation")
KINDS = (None, *DEFECTS)


@dataclasses.dataclass(frozen=True)
class DefectRow:
    """Areas under the ROC curve for a texture and a choice of maps, and what the threshold of good samples says.

    `kinds` is per picture, of each kind of defect against the pictures without. `found` is the share of defective pictures
    above the threshold, `false_alarms` that of the others.
    """

    texture: str
    maps: str
    per_picture: float
    per_pixel: float
    kinds: dict[str, float]
    found: float
    false_alarms: float


def area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs in which the positive value is the higher, ties counting half.

    >>> area(np.array([3.0, 1.0]), np.array([2.0, 1.0]))
    0.625
    """
    ordered = np.sort(negative)
    below, upto = (np.searchsorted(ordered, positive, side) for side in ("left", "right"))
    return float((below + upto).mean() / (2 * len(negative)))


def good_samples(texture: str, codec: Codec, quality: int) -> Statistics:
    """Statistics of the crops for training, which have no defects."""
    return Statistics.from_samples([codec.inspect(pixels, quality) for pixels in crops(texture, "training")])


def measure(texture: str, part: str, codec: Codec, quality: int, seed: int) -> list[DefectRow]:
    """A row for each of `RANKINGS`."""
    statistics_of_good = good_samples(texture, codec, quality)
    tried = [(sample, codec.inspect(sample.pixels, quality)) for sample in samples(texture, part, seed)]
    rows = []
    for name, maps in RANKINGS.items():
        heats = [(sample, statistics_of_good.heat(traces, maps)) for sample, traces in tried]
        scores = {
            kind: np.array([statistics_of_good.score(traces, maps) for sample, traces in tried if sample.kind == kind])
            for kind in KINDS
        }
        threshold = statistics_of_good.threshold(maps)
        defective = np.concatenate([scores[kind] for kind in DEFECTS])
        rows.append(
            DefectRow(
                texture,
                name,
                area(defective, scores[None]),
                per_pixel(heats),
                {kind: area(scores[kind], scores[None]) for kind in DEFECTS},
                float((defective > threshold).mean()),
                float((scores[None] > threshold).mean()),
            )
        )
    return rows


def per_pixel(heats: list[tuple[TextureSample, np.ndarray]]) -> float:
    """The area over all pixels of all pictures together."""
    masks = np.stack([sample.mask for sample, _ in heats])
    values = np.stack([heat for _, heat in heats])
    return area(values[masks], values[~masks])


def mean_rows(rows: list[DefectRow]) -> list[DefectRow]:
    """The mean over the textures, for each of `RANKINGS`."""
    means = []
    for name in RANKINGS:
        own = [row for row in rows if row.maps == name]
        numbers = {
            field: statistics.fmean(getattr(row, field) for row in own)
            for field in ("per_picture", "per_pixel", "found", "false_alarms")
        }
        kinds = {kind: statistics.fmean(row.kinds[kind] for row in own) for kind in DEFECTS}
        means.append(DefectRow("mean", name, kinds=kinds, **numbers))
    return means


def heading() -> str:
    """The first two lines of the table, in Markdown."""
    names = ["texture", "map", "per picture", "per pixel", *DEFECTS, "found", "false alarms"]
    return f"| {' | '.join(names)} |\n|---|---|{'---:|' * (len(names) - 2)}"


def line(row: DefectRow) -> str:
    """One line of the table."""
    areas = [row.per_picture, row.per_pixel, *row.kinds.values()]
    shares = [f"{100 * share:.0f} %" for share in (row.found, row.false_alarms)]
    return f"| {' | '.join([row.texture, row.maps, *(f'{value:.3f}' for value in areas), *shares])} |"


def write_set(folder: Path, texture: str, part: str, seed: int) -> None:
    """Good crops to TEXTURE/good, others to TEXTURE/PART, their masks to TEXTURE/masks."""
    for name in ("good", part, "masks"):
        (folder / texture / name).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(crops(texture, "training")):
        Image.fromarray(pixels).save(folder / texture / "good" / f"{number:02}.png")
    for number, sample in enumerate(samples(texture, part, seed)):
        name = f"{number:03}-{sample.kind or 'good'}.png"
        Image.fromarray(sample.pixels).save(folder / texture / part / name)
        if sample.kind:
            Image.fromarray(sample.mask).save(folder / texture / "masks" / name)


def picture(textures: Sequence[str], part: str, codec: Codec, quality: int, seed: int) -> Image.Image:
    """For each texture the first sample of a kind of defect, the next kind each time, and below it its heat map; 2 : 1."""
    columns = []
    for texture, kind in zip(textures, itertools.cycle(DEFECTS)):
        statistics_of_good = good_samples(texture, codec, quality)
        pixels = next(sample.pixels for sample in samples(texture, part, seed) if sample.kind == kind)
        colours = np.broadcast_to(pixels.reshape(TEXTURE_SIDE, TEXTURE_SIDE, -1), (TEXTURE_SIDE, TEXTURE_SIDE, 3))
        heat = draw_heat_map(
            statistics_of_good.heat(codec.inspect(pixels, quality, maps=DEFAULT_MAPS)), colours, statistics_of_good.threshold()
        )
        columns.append(np.pad(np.concatenate([colours, heat]), [(0, 0), (0, 4), (0, 0)], constant_values=255))
    image = Image.fromarray(np.concatenate(columns, 1)[:, :-4])
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Statistics and threshold come from good crops alone. For weights of good samples: --save FOLDER, then cae-train "
        "FOLDER/brick/good RUN --start-from default --patch 128 --steps N --export brick.safetensors, then --textures brick "
        "--weights brick.safetensors."
    )
    add_weights_argument(parser)
    parser.add_argument("--device", default="auto", help="where to run (default: %(default)s)")
    parser.add_argument("--quality", type=int, default=DEFAULT_INSPECTION_QUALITY, help="default: %(default)s")
    parser.add_argument("--textures", metavar="NAME,NAME…", help=f"some of {', '.join(TEXTURES)} (default: all)")
    parser.add_argument(
        "--part",
        choices=SETS,
        default=SETS[0],
        help="where the pictures are from; options are chosen on validation",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the defects (default: %(default)s)")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write the pictures and masks there")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw a sample and its heat map for each texture there; measure nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    names = arguments.textures.split(",") if arguments.textures else list(TEXTURES)
    if unknown := [name for name in names if name not in TEXTURES]:
        raise CaeError(f"no texture {unknown[0]!r}; there are {', '.join(TEXTURES)}")
    if arguments.seed < 0:
        raise CaeError(f"--seed {arguments.seed} is not at least 0")
    codec = Codec(weights=arguments.weights, device=arguments.device)
    if arguments.picture:
        picture(names, arguments.part, codec, arguments.quality, arguments.seed).save(arguments.picture, optimize=True)
        return
    rows: list[DefectRow] = []
    if not arguments.json:
        print(heading())
    for name in names:
        if arguments.save:
            write_set(arguments.save, name, arguments.part, arguments.seed)
        rows += measure(name, arguments.part, codec, arguments.quality, arguments.seed)
        if not arguments.json:
            print("\n".join(map(line, rows[-len(RANKINGS) :])), flush=True)
    means = mean_rows(rows)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows + means], indent=2))
    else:
        print("\n".join(map(line, means)))
