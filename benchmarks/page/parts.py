"""The page's parts that need no script: what was measured and how, tables, sources, gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ..core import bd

_METHODS = {"pchip": "piecewise cubic pieces that keep the curves monotone (PCHIP)"}
_MINUS = "\N{MINUS SIGN}"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(",", "\N{NO-BREAK SPACE}")


def _megapixels(everything: Mapping[str, Any]) -> float:
    return sum(image["width"] * image["height"] for image in everything["images"]) / 1e6


def label_of(everything: Mapping[str, Any], name: str) -> str:
    """A measured codec's label."""
    return next((codec["label"] for codec in everything["codecs"] if codec["name"] == name), name)


def published(everything: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The curves that others measured."""
    return [curve for curve in everything["mean_curves"] if curve["source"]]


def facts(everything: Mapping[str, Any]) -> str:
    """The run in a few figures, as terms and definitions."""
    terms = {
        "Images": f"{len(everything['images'])} ({escape(everything['dataset'])})",
        "Megapixels": f"{_megapixels(everything):.2f}",
        "Codecs measured": str(len(everything["codecs"])),
        "Coded files": f"{len(everything['points'])}",
        "Anchor of BD-rates": escape(label_of(everything, everything["bd_rate"]["anchor"])),
    }
    return "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in terms.items())


def introduction(everything: Mapping[str, Any]) -> str:
    """A paragraph on images, codecs, rates and BD-rates, in plain words."""
    images, anchor = everything["images"], escape(label_of(everything, everything["bd_rate"]["anchor"]))
    sizes = sorted({(image["width"] * image["height"], f"{image['width']} &times; {image['height']}") for image in images})
    size = sizes[0][1] if len(sizes) == 1 else f"{sizes[0][1]} to {sizes[-1][1]}"
    method = everything["bd_rate"]["method"]
    others = (
        " Curves marked <em>published</em> were not measured here: they are figures that others published, with sources below."
        if published(everything)
        else ""
    )
    return (
        f"<p>{_count(len(images), 'image')} ({escape(everything['dataset'])}, {size} pixels) went through "
        f"{_count(len(everything['codecs']), 'codec')} at several settings each. Each codec wrote a real file and decoded it "
        "again. <strong>Rates are the sizes of these files</strong>, headers and all, in bits per pixel (bpp). "
        f"Quality is that of the decoded picture, 8 bits a channel, against the original.{others}</p>"
        "<p><strong>BD-rate</strong> tells how many per cent more or fewer bits a codec takes than the anchor, "
        f"{anchor}, for the same quality, on average over the qualities that both reach: {_MINUS}30 % means files smaller by "
        f"30 %. The curves run through their points by {escape(_METHODS.get(method, method))}, as computed by the Python "
        "package <code>bjontegaard</code>.</p>"
    )


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{value:+.1f}\N{NO-BREAK SPACE}%".replace("-", _MINUS)


def _cell(value: float | None, best: float | None, mark: str, group: str) -> str:
    if value is None:
        return f'<td class="number {group}">—{mark}</td>'
    kind = "fewer" if value < 0 else "more" if value > 0 else ""
    text = f"<strong>{_percent(value)}</strong>" if value == best else _percent(value)
    return f'<td class="number {group} {kind}" data-value="{value!r}">{text}{mark}</td>'


_AVERAGES = (
    ("mean_of_image_bd_rates", "mean of the images&rsquo; BD-rates"),
    ("bd_rate_of_mean_curve", "BD-rate of the mean curve"),
)


def bd_table(everything: Mapping[str, Any]) -> str:
    """The table of BD-rates, the best of the first metric first, and its notes."""
    comparisons = everything["bd_rate"]["comparisons"]
    metrics = [metric for metric in everything["metrics"] if any(item["metric"] == metric["name"] for item in comparisons)]
    if not metrics:
        return "<p>No other codec was measured, so there is nothing to compare with the anchor.</p>"
    cells = {(item["codec"], item["published"], item["metric"]): item for item in comparisons}
    fields = [(metric["name"], field) for metric in metrics for field, _ in _AVERAGES]

    def values(row: tuple[str, bool]) -> list[float | None]:
        comparisons_of_row = [(cells.get((*row, metric)), field) for metric, field in fields]
        return [None if cell is None else cell[field] for cell, field in comparisons_of_row]

    rows = sorted(
        {key[:2] for key in cells}, key=lambda row: [float("inf") if value is None else value for value in values(row)]
    )
    best = [
        min((value for value in column if value is not None), default=None) for column in zip(*map(values, rows), strict=True)
    ]
    notes: dict[str, int] = {}
    body = []
    for row in rows:
        line = []
        for place, ((metric, field), value) in enumerate(zip(fields, values(row), strict=True)):
            mark = ""
            cell = cells.get((*row, metric))
            for note in _notes(cell, field) if cell else ():
                number = notes.setdefault(note, len(notes) + 1)
                mark += f'<sup><a href="#note-{number}" aria-label="note {number}">{number}</a></sup>'
            line.append(_cell(value, best[place], mark, "" if place % len(_AVERAGES) else "first"))
        label = next(item["label"] for key, item in cells.items() if key[:2] == row)
        badge = ' <span class="badge">published</span>' if row[1] else ""
        body.append(f'<tr><th scope="row" data-value="{escape(label)}">{escape(label)}{badge}</th>{"".join(line)}</tr>')
    groups = "".join(f'<th scope="colgroup" colspan="2" class="first">{escape(metric["label"])}</th>' for metric in metrics)
    heads = "".join(
        f'<th scope="col" class="number{"" if place else " first"}"><button type="button">{text}</button></th>'
        for _ in metrics
        for place, (_, text) in enumerate(_AVERAGES)
    )
    listed = "".join(f'<li id="note-{number}">{escape(note)}</li>' for note, number in notes.items())
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of BD-rates"><table id="bd" class="sortable">'
        f'<thead><tr><td></td>{groups}</tr><tr><th scope="col"><button type="button">codec</button></th>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
        + (f'<details class="notes" open><summary>Notes to the table</summary><ol>{listed}</ol></details>' if notes else "")
    )


def _notes(cell: Mapping[str, Any], field: str) -> list[str]:
    """The notes on one of a comparison's two averages."""
    kind = "images: " if field == "mean_of_image_bd_rates" else "mean curve: "
    return [note.removeprefix(kind)[0].upper() + note.removeprefix(kind)[1:] for note in cell["notes"] if note.startswith(kind)]


def codec_table(everything: Mapping[str, Any]) -> str:
    """Codecs with their versions and settings."""
    rows = "".join(
        f'<tr><th scope="row">{escape(codec["label"])}</th><td>{escape(codec["version"])}</td>'
        f"<td>{', '.join(f'{setting:g}' for setting in codec['settings'])}</td></tr>"
        for codec in everything["codecs"]
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of codecs"><table><thead><tr>'
        '<th scope="col">codec</th><th scope="col">version and options</th><th scope="col">settings</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def image_list(everything: Mapping[str, Any]) -> str:
    """Names and sizes of the images."""
    return ", ".join(f"{escape(image['name'])} ({image['width']} &times; {image['height']})" for image in everything["images"])


def sources(everything: Mapping[str, Any]) -> str:
    """Sources of the published curves; empty where there are none."""
    curves = published(everything)
    if not curves:
        return ""
    items = _list(f"<strong>{escape(curve['label'])}</strong>: {escape(curve['source'])}" for curve in curves)
    return (
        "<h3>Published curves</h3><p>Means over the 24 Kodak images as others measured and published them, with their own "
        f"builds and options. They have no BD-rates of single images.</p>{items}"
    )


def gaps(everything: Mapping[str, Any], without_pictures: Mapping[str, str]) -> str:
    """The list of measurements and pictures that are missing, and of caveats."""
    items = [f"<strong>{escape(name)}</strong> was not measured: {escape(why)}." for name, why in everything["missing"].items()]
    items += [f"Failed: {escape(line)}." for line in everything["failures"]]
    items += [
        f"<strong>{escape(label_of(everything, name))}</strong> has no pictures here: {escape(why)}."
        for name, why in without_pictures.items()
    ]
    if any(item["overlap"] < bd.OVERLAP_MIN for item in everything["bd_rate"]["comparisons"]):
        items.append(
            f"Where two curves share less than {bd.OVERLAP_MIN:.0%} of their range of quality, the BD-rate stands on few "
            "points; the table has a note there."
        )
    items.append("Numbers of this kind do not tell what people prefer: look at the pictures too.")
    items.append("Time and memory are not on this page; the command <code>speed</code> measures them.")
    return _list(items)
