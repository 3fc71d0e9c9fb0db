"""Checks the sdist and the wheel in a folder: they hold all that is committed, and nothing else.

`python .ci/check_packages.py FOLDER`, in a checkout. It ends with status 1 and a line that says what is wrong.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL_MAX = 60_000_000
"""Most bytes of a wheel."""
LEFT_OUT = (".ci/", ".git")
"""Beginnings of names that only a checkout has."""
GENERATED = ("PKG-INFO", "cae_codec.egg-info/", "setup.cfg")
"""Beginnings of names that only an sdist has."""


def check(folder: Path) -> None:
    """Compares both packages with what git has; exits with a message where they differ."""
    committed = set(subprocess.check_output(["git", "ls-files", "-z"], text=True).split("\0")) - {""}
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive:
        names = (member.name.partition("/")[2] for member in archive if member.isfile())
        packed = {name for name in names if not name.startswith(GENERATED)}
    _compare(sdist, packed, {name for name in committed if not name.startswith(LEFT_OUT)})
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if ".dist-info/" not in name}
    _compare(wheel, installed, {name for name in committed if name.startswith("codec/")})
    size = wheel.stat().st_size
    if size > WHEEL_MAX:
        sys.exit(f"{wheel.name}: has {size} bytes, more than {WHEEL_MAX}")
    print(f"{wheel.name}: {len(installed)} files in {size / 1e6:.1f} MB; {sdist.name}: {len(packed)} files")


def _compare(package: Path, found: set[str], wanted: set[str]) -> None:
    if found != wanted:
        missing, excess = (", ".join(sorted(names)) or "nothing" for names in (wanted - found, found - wanted))
        sys.exit(f"{package.name}: lacks {missing}, and has {excess} that is not committed")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
