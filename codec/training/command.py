"""The command `cae-train`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..cli.arguments import Parser, create_parser
from ..cli.bars import show_activity
from ..cli.messages import one_line, report_errors
from ..distortion.distortions import DISTORTIONS
from ..errors import CaeError
from ..networks.config import MODELS
from ..options import ENLARGEMENTS, REDUCTIONS
from ..runtime.environment import prepare
from .options import AUGMENTATIONS, FREEZABLE, Options
from .schedule import UNCHANGED, StepSchedule


def parser() -> Parser:
    """The command's parser; beside what every command has, its options are fields of `Options`, and --model and --json."""
    p = create_parser(
        "cae-train",
        "Train a model on a folder of images. The run's folder keeps the state and a CSV log. The same command "
        "resumes where it stopped, and a larger budget continues a finished run.",
    )
    p.add_argument("images", type=Path, help="folder of images, searched with its subfolders")
    p.add_argument("run", type=Path, help="folder for the run's state and log")
    budget = p.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int, help="total number of steps")
    budget.add_argument("--minutes", type=float, help="total training time")
    p.add_argument("--model", choices=MODELS, help="sizes of a model that starts afresh or grows (default: default)")
    p.add_argument("--validation", type=Path, help="folder of images that are only measured")
    p.add_argument(
        "--batch", type=int, default=Options.batch, help="patches per step (default: %(default)s; a GPU has room for many more)"
    )
    p.add_argument("--patch", type=int, default=Options.patch, help="side of a patch, a multiple of 64 (default: %(default)s)")
    p.add_argument(
        "--patch-schedule",
        type=StepSchedule.parse,
        default=UNCHANGED,
        metavar="SIDE:STEP,…",
        help="smaller patches before these steps, as 64:1000,128:3000, and --patch after them",
    )
    p.add_argument(
        "--resolution-schedule",
        type=StepSchedule.parse,
        default=UNCHANGED,
        metavar="N:STEP,…",
        help="pictures of 1/N of their size before these steps, as 4:1000,2:3000, and of the full size after them",
    )
    p.add_argument(
        "--augment",
        type=lambda text: tuple(name for name in text.split(",") if name != "none"),
        default=Options.augment,
        metavar="NAME,…",
        help=f"augmentations of patches, of {', '.join(AUGMENTATIONS)}, or none (default: {','.join(Options.augment)})",
    )
    p.add_argument(
        "--overlap",
        type=float,
        metavar="SHARE",
        help="cut patches from a grid, neighbours overlapping by this part of a side (default: at any position)",
    )
    p.add_argument(
        "--learning-rate", type=float, help="peak learning rate (default: 1e-3; 5e-4 with --start-from, except with --reduced)"
    )
    p.add_argument(
        "--decay",
        type=float,
        help="part of the budget over which the learning rate falls to zero (default: 0.25; 0.8 with --start-from)",
    )
    p.add_argument("--device", default=Options.device, metavar="auto|cpu|cuda[:N]", help="where to run (default: %(default)s)")
    p.add_argument(
        "--workers",
        type=int,
        default=Options.workers,
        help="threads that prepare patches; a GPU wants more (default: %(default)s)",
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="fuse the transforms' operations by torch.compile: for GPUs; minutes at the start",
    )
    p.add_argument("--seed", type=int, default=Options.seed)
    p.add_argument(
        "--memory-gib", type=float, default=Options.memory_gib, help="images to hold in memory (default: %(default)s)"
    )
    p.add_argument(
        "--start-from",
        metavar="FILE|default",
        help="weights to fine-tune: a file, or the installed ones (default: start afresh)",
    )
    p.add_argument("--grow", action="store_true", help="with --start-from: keep what the model has room for, add the rest")
    p.add_argument(
        "--reduced",
        type=int,
        metavar="|".join(map(str, REDUCTIONS[1:])),
        help="with --start-from: train only a decoder to a size so many times smaller, which --export adds to the weights",
    )
    p.add_argument(
        "--enlarge",
        type=int,
        metavar="|".join(map(str, ENLARGEMENTS)),
        help="with --start-from: train only a decoder that doubles the size, on pictures that were halved; --export adds it to "
        "the weights",
    )
    p.add_argument(
        "--replay",
        type=int,
        default=Options.replay,
        metavar="STEPS",
        help="with --reduced: steps per coded batch, each on any of the last 2048 patches (default: %(default)s)",
    )
    p.add_argument(
        "--freeze",
        choices=FREEZABLE,
        help="with --start-from: encoder or decoder: train only the other one, which --export writes as a file for --decoder "
        "or --encoder; the entropy model and the model id stay, and so do coded files. analysis: train all but the analysis "
        "transforms. entropy: train all but the entropy model",
    )
    p.add_argument(
        "--choose-symbols",
        action="store_true",
        help="train on the symbols that an encoder chooses by bits and error, not on the nearest",
    )
    p.add_argument(
        "--denoise",
        action="store_true",
        help="with --freeze decoder: train an encoder that leaves noise out, on patches with noise of many strengths, compared "
        "with clean ones; without the noise of --augment",
    )
    p.add_argument(
        "--loss",
        default=Options.loss,
        choices=DISTORTIONS,
        help="distortion that training lowers beside the rate; eye: SSIMULACRA 2, MS-SSIM, and errors of luma and "
        "colour (default: %(default)s)",
    )
    p.add_argument("--export", type=Path, metavar="FILE", help="weights file (.safetensors) to write when the budget is used")
    p.add_argument(
        "--licence",
        default=Options.licence,
        help="licence of the weights, for their metadata (default: %(default)s; --reduced and --enlarge leave it as it is)",
    )
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    p.add_argument("--json", action="store_true", help="print a line of JSON at the end")
    return p


def main(words: list[str] | None = None) -> None:
    """Runs the command with the words of a command line (None: the process's own).

    Errors are one line on stderr, and an interrupted run ends with the signal's status.
    """
    p = parser()
    arguments = p.parse_args(words)
    options = vars(arguments)
    name, as_json = (options.pop(option) for option in ("model", "json"))
    prepare()
    with report_errors(p.prog, "use smaller patches or batches, or less --memory-gib"):
        with show_activity(arguments.quiet, "starting"):
            from ..networks import registry
            from ..networks.weights import Weights
            from .train import Interrupted, train

        if arguments.start_from is not None:
            arguments.start_from = registry.find_model(arguments.start_from)
        fixed = arguments.start_from is not None and not arguments.grow
        if fixed and name:
            raise CaeError("--model is for a model that starts afresh or grows, not for finished weights")
        config = Weights.read(arguments.start_from).config if fixed else MODELS[name or "default"]
        try:
            run = train(Options(**options), config)
        except Interrupted as stop:
            print(f"{p.prog}: stopped; its state is saved, and the same command goes on", file=sys.stderr)
            sys.exit(128 + stop.number)
        if as_json:
            export = arguments.export and str(arguments.export)
            print(json.dumps({"run": str(arguments.run), "steps": run.step, "export": export}))
        written = f", wrote {arguments.export}" if arguments.export else ""
        print(one_line(f"{p.prog}: {run.step} steps done{written}"), file=sys.stderr)
