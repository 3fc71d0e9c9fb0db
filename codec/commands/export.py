"""The command `cae-export`."""

from __future__ import annotations

from pathlib import Path

from ..cli.arguments import create_parser
from ..cli.messages import report_errors
from ..errors import CaeError, extra_advice
from .pages import is_page


def main(words: list[str] | None = None) -> None:
    """Runs `cae-export` with the words of a command line (None: the process's own)."""
    parser = create_parser(
        "cae-export",
        "Write a model for programs in other languages: its networks as ONNX, and its integers as JSON and a binary file; or "
        "a page that opens its .cae files in any browser.",
    )
    parser.add_argument("model", metavar="NAME", help="an installed model, such as default, or a .safetensors file")
    parser.add_argument("output", type=Path, metavar="FOLDER|PAGE.html", help="folder for the files, or the page")
    arguments = parser.parse_args(words)
    with report_errors(parser.prog):
        from ..networks.registry import find_model

        weights = find_model(arguments.model)
        if is_page(arguments.output):
            _export_page(weights, arguments.output)
        else:
            _export_files(weights, arguments.output)


def _export_page(weights: Path, target: Path) -> None:
    from ..runtime.atomic_write import atomic_write
    from ..web.page import make_page

    with atomic_write(target) as file:
        file.write(make_page(weights).encode())


def _export_files(path: Path, folder: Path) -> None:
    from ..networks.weights import MODEL, Weights
    from ..onnx_export.tables import BINARY, make_tables
    from ..runtime.atomic_write import atomic_write

    weights = Weights.read(path)
    if weights.metadata.get("role") != MODEL:
        raise CaeError(f"{path}: holds no whole model")
    try:
        from ..onnx_export.networks import NETWORKS
    except ModuleNotFoundError as error:
        raise CaeError(f"the module {error.name} is missing; {extra_advice('onnx')}") from None
    config = weights.config
    tensors = {f"{group}/{name}": values for group, part in weights.arrays().items() for name, values in part.items()}
    described, numbers = make_tables(tensors, config, weights.id.hex())
    files = {f"{name}.onnx": make(tensors, config) for name, make in NETWORKS.items()}
    files |= {"tables.json": described.encode(), BINARY: numbers}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaeError(f"{folder}: {error.strerror}") from None
    for name, content in files.items():
        with atomic_write(folder / name) as file:
            file.write(content)
