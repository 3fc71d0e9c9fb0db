"""`python -m benchmarks COMMAND …`: finds the command's module and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from types import ModuleType

from codec import CaeError
from codec.errors import extra_advice
from codec.runtime import environment

COMMANDS = {
    "run": ("rate.run", "measure codecs on images: rate-distortion points, BD-rates, CSV, JSON, plots and a page"),
    "page": ("page.page", "show the results of a finished run as one HTML file that needs no network"),
    "list": ("rate.listing", "list the codecs, metrics and published curves, and say what is missing here"),
    "check-jpeg": ("rate.check_jpeg", "compare Pillow's JPEG on the Kodak images with the published JPEG curve"),
    "speed": ("speed.speed", "time encoding and decoding, and measure peak memory"),
    "scaling": ("speed.scaling", "measure memory and speed of the command lines on pictures of up to a gigapixel"),
    "files": ("speed.files", "measure pictures a second of whole folders, reading and writing counted"),
    "dataset": ("speed.dataset", "measure pictures a second that a PyTorch DataLoader takes from files, beside JPEG"),
    "drawings": ("rate.drawings", "measure codecs on pages, screens, diagrams, maps and patterns that are drawn here"),
    "defects": ("quality.defects", "find defects drawn on textures: areas under ROC curves of error, surprise and distance"),
    "regions": ("speed.regions", "time regions out of a large picture, cold and warm"),
    "scales": ("quality.scales", "decode at reduced sizes: quality and time beside decoding the whole and shrinking it"),
    "overlap": ("speed.overlap", "time reading, coding and writing apart and together, on one thread and on all"),
    "coding": ("rate.coding", "compare real coded sizes with the entropy model's estimates"),
    "classic": ("training.classic.command", "train a classic autoencoder of fixed size, and show its honest place"),
    "denoising": ("quality.denoising", "code noisy pictures: as they are, after non-local means, by a denoising encoder"),
    "enlarging": ("quality.enlarging", "double halved pictures: a decoder of its own, bicubic and Lanczos"),
    "losses": ("training.losses", "measure what each loss must be multiplied by for the quality levels to keep their rates"),
    "training-options": ("training.training_options", "screen options of training: loss against time, time to reach a loss"),
    "domains": ("training.domains", "make pictures of two narrow domains, photographed pages and the Earth, to fine-tune on"),
    "upsampling": ("training.upsampling", "train with each way to enlarge: loss, speed, checkerboards on plain pictures"),
    "panel": ("quality.panel", "show the same part of several pictures side by side, for reports"),
    "complexity": ("speed.complexity", "count multiply-accumulates and parameters"),
}
"""Commands by name: the module, which has `add_arguments(parser)` and `run(arguments)`, and the help text."""


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{COMMANDS[command][0]}")


def parser_for(words: list[str]) -> argparse.ArgumentParser:
    """The parser; of the commands' modules it imports only the chosen one."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Compare image codecs on real file sizes and decoded pictures.",
        epilog="Example: python -m benchmarks run --codecs cae,jpeg,webp --out results; then open results/page.html. "
        "Add --help after a command for its options.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, (_, description) in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description[0].upper() + description[1:] + ".")
        if words[:1] == [name]:
            _module(name).add_arguments(command)
    return parser


def main(words: list[str] | None = None) -> None:
    """Entry point: errors are one line on stderr and status 1."""
    environment.prepare()
    words = sys.argv[1:] if words is None else words
    program = "benchmarks"

    def show(message, *_args, **_kwargs) -> None:
        print(f"{program}: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            arguments = parser_for(words).parse_args(words)
            _module(arguments.command).run(arguments)
        except CaeError as error:
            sys.exit(f"{program}: {error}")
        except ModuleNotFoundError as error:
            sys.exit(f"{program}: the module {error.name} is missing; {extra_advice('bench')}")
        except OSError as error:
            sys.exit(f"{program}: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
        except MemoryError:
            sys.exit(f"{program}: out of memory; use smaller pictures")
        except KeyboardInterrupt:
            print(f"{program}: interrupted; the same command goes on where it stopped", file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()
