"""What a version promises: its number in the changelog, and all models that were ever released."""

import re

import pytest

import codec
from codec.commands import start
from codec.networks import registry

from .conftest import DATA

ROOT = DATA.parents[1]


def test_the_changelog_begins_with_the_version():
    headings = re.findall(r"^## \[(.+?)\] - (Unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == codec.__version__


@pytest.mark.parametrize("command", ["encode", "decode", "info", "inspect", "serve", "export", "train"])
def test_each_command_says_its_version(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"cae-{command}", "--version"])
    with pytest.raises(SystemExit, match="0"):
        getattr(start, command)()
    assert capsys.readouterr().out == f"cae-{command} {codec.__version__}\n"


def test_released_models_stay_installed():
    """And those of a version that is no candidate are on the list."""
    lines = (DATA / "released_models.txt").read_text().splitlines()
    released = {bytes.fromhex(line) for line in lines if not line.startswith("#")}
    installed = set(registry.installed().values())
    assert released <= installed
    assert "rc" in codec.__version__ or installed <= released
