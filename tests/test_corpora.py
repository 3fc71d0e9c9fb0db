"""Files that the fuzzer has kept are tried again, and some changes of them; `python -m tests.fuzz` looks for more."""

import random
from pathlib import Path

import pytest

from .fuzz import payloads
from .fuzz.draft import assemble, dissect
from .fuzz.mutator import Mutator
from .fuzz.targets import check_container, check_decoder

CORPORA = Path(__file__).with_name("corpora")
FILES = {name: [path.read_bytes() for path in sorted((CORPORA / name).iterdir())] for name in ("container", "decoder")}


@pytest.mark.parametrize(("name", "check"), [("container", check_container), ("decoder", check_decoder)])
def test_seeds_are_sound(name, check):
    """Else the fuzzer would see little of what it is for: `python -m tests.fuzz seeds` makes them anew."""
    for path in (CORPORA / name).glob("seed-*"):
        data = path.read_bytes()
        assert check(data) is True
        assert assemble(dissect(data)) == data


def test_replay_of_the_container():
    for data in FILES["container"] + FILES["decoder"]:
        check_container(data)


def test_replay_of_the_decoder():
    for data in FILES["decoder"]:
        check_decoder(data)


def test_some_changes():
    """Among them are files that are sound, and such that are not."""
    for name, check, tries, mutator in (
        ("container", check_container, 400, Mutator),
        ("decoder", check_decoder, 60, payloads.mutator),
    ):
        verdicts = set()
        for seed in range(tries):
            rng = random.Random(seed)
            verdicts.add(check(mutator(rng).mutate(rng.choice(FILES[name]), 8192)))
        assert {True, False} <= verdicts
