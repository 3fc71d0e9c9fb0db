"""Pages that hold a decoder, its weights and a picture, and need neither network nor server."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from string import Template

from ..runtime.resources import package_folder
from .weights import pack_weights

_STATIC = package_folder("web/static")
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z0-9_]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:class|const|function) (\w+)", re.MULTILINE)


def make_page(weights: Path | None, name: str = "Open a .cae file", data: bytes = b"") -> str:
    """A page that shows a picture and opens others, and holds all that it needs.

    Args:
        weights: of the model that the pictures need; None for lossless ones.
        name: the picture's, shown as the title.
        data: its `.cae` file, which the page checks; none for a page on which files are dropped.
    """
    fields = {
        "name": html.escape(name),
        "style": _read("page.css"),
        "decoder": bundle("worker"),
        "weights": base64.b64encode(pack_weights(weights)).decode() if weights else "",
        "file": base64.b64encode(data).decode(),
        "page": bundle("page"),
    }
    return Template(_read("page.html")).substitute(fields)


def bundle(*names: str) -> str:
    """Modules and all that they import as one script, which needs no further file. Each module is a function's body."""
    done: dict[str, str] = {}

    def visit(module: str) -> None:
        text = _read(f"{module}.js")
        for _, other in _IMPORT.findall(text):
            if other not in done:
                visit(other)
        exported = ", ".join(_EXPORT.findall(text))
        body = _EXPORT.sub(lambda match: match[0].removeprefix("export "), _IMPORT.sub(r"const \1 = \2;\n", text))
        done[module] = f"const {module} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"

    for name in names:
        visit(name)
    return "".join(done.values())


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
