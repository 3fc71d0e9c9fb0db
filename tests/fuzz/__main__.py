"""`python -m tests.fuzz container|decoder [libFuzzer's options]`, for instance -runs=100000; `python -m tests.fuzz seeds`.

It begins with the files in tests/corpora; files of new coverage go to the first folder that is named, if any is.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

CORPORA = Path(__file__).parents[1] / "corpora"
INPUT_MAX = {"container": 4096, "decoder": 8192}


def write_seeds() -> None:
    """Makes the files with which the corpora begin, after a change of the format or of the tiny weights."""
    from . import seeds

    for name, made in (("container", seeds.container_seeds()), ("decoder", seeds.decoder_seeds())):
        (CORPORA / name).mkdir(parents=True, exist_ok=True)
        for seed, data in made:
            (CORPORA / name / f"seed-{seed}").write_bytes(data)


def fuzz(name: str, options: list[str]) -> None:
    """Runs libFuzzer on a target; it does not return."""
    import atheris

    with atheris.instrument_imports(include=["codec"]):
        from codec.coding import tile_window, windowed_synthesis

        from . import payloads, targets
        from .mutator import Mutator, flipped

    # a thread takes longer to start than such a picture to decode
    tile_window.run_parallel = windowed_synthesis.run_parallel = lambda work, items, *_, **__: [work(item) for item in items]

    def bytes_of(data: bytes, rng: random.Random) -> bytes:
        return atheris.Mutate(data, len(data) + 16) if data and rng.random() < 0.5 else flipped(data, rng)

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if name == "container":
            return Mutator(rng, bytes_of=bytes_of).mutate(data, size_max)
        return payloads.mutator(rng, bytes_of).mutate(data, size_max)

    check = {"container": targets.check_container, "decoder": targets.check_decoder}[name]
    counts = dict.fromkeys((True, False, None), 0)

    def run(data: bytes) -> int:
        sound = check(data)
        counts[sound] += 1
        if sum(counts.values()) % 10_000 == 0:
            print(f"{counts[True]} sound files, {counts[False]} refused, {counts[None]} too large to try", file=sys.stderr)
        return -1 if sound is None else 0

    # libFuzzer would put several changes on each other, and few files would remain that are sound
    arguments = [f"-max_len={INPUT_MAX[name]}", "-mutate_depth=1", "-cross_over=0", "-timeout=60", *options]
    if not any(not option.startswith("-") for option in options):
        arguments.append(str(CORPORA / name))
    atheris.Setup([sys.argv[0], *arguments], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["seeds"]:
            write_seeds()
        case [("container" | "decoder") as name, *options]:
            fuzz(name, options)
        case _:
            sys.exit(__doc__)
