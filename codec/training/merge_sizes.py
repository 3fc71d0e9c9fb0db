"""`python -m codec.training.merge_sizes SOURCE … OUT`: merges decoders to other sizes into a weights file of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ..cli.arguments import Parser
from ..cli.messages import report_errors
from ..errors import CaeError
from ..networks.parts import ENLARGED, REDUCED
from ..networks.tensors import as_tensors
from ..networks.weights import MODEL, SIZES, Weights, within
from .decoders.frozen_latent import TRAINING_RECORD
from .export import write


def merge_sizes(sources: Sequence[Path], path: Path) -> None:
    """Writes the decoders to other sizes that weights files hold into one file; of equal sizes the last one counts.

    The sources are weights files of one model, or earlier results. Raises CaeError where one is damaged, where they are of
    several models or configurations, or where none holds such a decoder.
    """
    files = [Weights.read(source) for source in sources]
    names = ", ".join(map(str, sources))
    decoders: dict[str, Mapping[str, Tensor]] = {}
    records: dict[str, str] = {}
    for weights in files:
        tensors = as_tensors(weights.arrays())
        for group in (REDUCED, ENLARGED):
            factors = {name.partition("/")[0] for name in tensors.get(group, {})}
            decoders |= {f"{group}/{factor}": within(tensors[group], factor) for factor in factors}
        records |= {
            name: text for name, text in weights.metadata.items() if name == "licence" or name.startswith(TRAINING_RECORD)
        }
    models = {weights.metadata.get("id") if weights.metadata.get("role") == SIZES else weights.id.hex() for weights in files}
    if any(weights.metadata.get("role") not in (MODEL, SIZES) for weights in files) or len(models) != 1:
        raise CaeError(f"{names}: must be weights files of one model, whose decoders can be in one file")
    if len({weights.config for weights in files}) != 1:
        raise CaeError(f"{names}: have different configurations, and a file has but one")
    if not decoders:
        raise CaeError(f"{names}: holds no decoder to another size")
    write(path, decoders, {"config": files[0].metadata["config"], "id": models.pop(), "role": SIZES, **records})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; errors are one line on stderr and status 1."""
    parser = Parser(
        "merge_sizes",
        description="Merge the decoders to other sizes of weights files into a file of their own, which is installed beside "
        "the model. Of equal sizes the last one counts.",
    )
    parser.add_argument("sources", type=Path, nargs="+", help="weights files of one model, or earlier results")
    parser.add_argument("out", type=Path, help="weights file (.safetensors) to write")
    options = parser.parse_args(arguments)
    with report_errors(parser.prog):
        merge_sizes(options.sources, options.out)


if __name__ == "__main__":
    main()
