"""Results as files for machines (JSON, CSV) and as tables for people (Markdown)."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import bd
from .results import Results

SCHEMA = 1
TIMING_NOTE = "seconds as they came, while other work may have run: not a clean timing"


def as_json(results: Results) -> dict[str, object]:
    """All of the results as JSON values; `null` is a value that is undefined, such as the PSNR of equal images."""
    return {
        "schema": SCHEMA,
        "dataset": results.dataset,
        "timing": TIMING_NOTE,
        "images": [
            {"name": item.name, "digest": item.digest, "width": item.width, "height": item.height} for item in results.samples
        ],
        "metrics": [{"name": metric.name, "label": metric.label, "axis": metric.axis} for metric in results.metrics],
        "codecs": [dataclasses.asdict(codec) for codec in results.codecs],
        "missing": results.missing,
        "failures": list(results.failures),
        "points": [{**dataclasses.asdict(point), "bpp": point.bpp} for point in results.points],
        "mean_curves": [dataclasses.asdict(curve) for curve in results.curves],
        "bd_rate": {
            "anchor": results.anchor,
            "method": bd.METHOD,
            "unit": "per cent of the anchor's rate, negative: fewer bits",
            "comparisons": [dataclasses.asdict(comparison) for comparison in results.comparisons],
        },
    }


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_tables(results: Results, folder: Path) -> list[Path]:
    names = [metric.name for metric in results.metrics]
    points, curves, rates = folder / "points.csv", folder / "curves.csv", folder / "bd_rates.csv"
    fields = ("image", "digest", "width", "height", "codec", "version", "setting", "bytes", "bpp")
    times = ("encode_seconds", "decode_seconds", "clean_timing")
    _write_csv(
        points,
        (*fields, *names, *times),
        (
            [getattr(point, field) for field in fields]
            + [point.metrics.get(name) for name in names]
            + [getattr(point, field) for field in times]
            for point in results.points
        ),
    )
    _write_csv(
        curves,
        ("codec", "label", "published", "setting", "bpp", *names, "source"),
        (
            [curve.name, curve.label, curve.published, curve.settings[index] if curve.settings else None, bpp]
            + [curve.values[name][index] if name in curve.values else None for name in names]
            + [curve.source]
            for curve in results.curves
            for index, bpp in enumerate(curve.bpp)
        ),
    )
    columns = [field.name for field in dataclasses.fields(bd.Comparison)]
    _write_csv(
        rates,
        ("anchor", *columns),
        (
            [results.anchor] + ["; ".join(value) if isinstance(value, tuple) else value for value in row]
            for row in ([getattr(comparison, name) for name in columns] for comparison in results.comparisons)
        ),
    )
    return [points, curves, rates]


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{value:+.1f} %".replace("-", "\N{MINUS SIGN}")


def markdown(results: Results) -> str:
    """The table of BD-rates, with what it was made of and what is doubtful in it."""
    labels = {curve.name: curve.label for curve in results.curves}
    size = sum(item.width * item.height for item in results.samples) / 1e6
    lines = [
        f"BD-rate against {labels.get(results.anchor, results.anchor)} on {results.dataset}: {len(results.samples)} images, "
        f"{size:.1f} megapixels; method {bd.METHOD}; negative: fewer bits for the same quality.",
        "Each cell: mean of the images' BD-rates / BD-rate of the mean curve. An asterisk points to a note below.",
        "",
        "| codec | " + " | ".join(metric.label for metric in results.metrics) + " |",
        "|---|" + "---:|" * len(results.metrics),
    ]
    cells = {(comparison.codec, comparison.published, comparison.metric): comparison for comparison in results.comparisons}
    rows = sorted({key[:2] for key in cells}, key=lambda row: (row[1], _rank(cells, row, results)))
    notes = []
    for name, published in rows:
        texts = []
        for metric in results.metrics:
            cell = cells.get((name, published, metric.name))
            if cell is None:
                texts.append("—")
                continue
            mark = " *" if cell.notes else ""
            texts.append(f"{_percent(cell.mean_of_image_bd_rates)} / {_percent(cell.bd_rate_of_mean_curve)}{mark}")
            notes += [f"- {cell.label}, {metric.label}: {note}" for note in cell.notes]
        lines.append(f"| {labels[name]}{' (published)' if published else ''} | " + " | ".join(texts) + " |")
    for title, items in (
        ("Notes", notes),
        ("Not available here", [f"- {name}: {reason}" for name, reason in results.missing.items()]),
        ("Failed", [f"- {line}" for line in results.failures]),
    ):
        if items:
            lines += ["", f"{title}:", "", *items]
    return "\n".join(lines) + "\n"


def _rank(cells: dict, row: tuple[str, bool], results: Results) -> float:
    """Sorts rows by the first metric, the best first."""
    cell = cells.get((*row, results.metrics[0].name))
    return float("inf") if cell is None or cell.bd_rate_of_mean_curve is None else cell.bd_rate_of_mean_curve


def write(results: Results, folder: Path) -> list[Path]:
    """Writes `results.json`, the CSV files and `bd_rates.md`; returns their paths."""
    everything, table = folder / "results.json", folder / "bd_rates.md"
    everything.write_text(json.dumps(as_json(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    table.write_text(markdown(results), encoding="utf-8")
    return [everything, table, *_write_tables(results, folder)]
