"""The command that measures threads and overlapping."""

import re

from benchmarks.__main__ import main


def test_stages_are_timed_apart_and_together(capsys):
    main(["overlap", "--size", "300x200", "--repeat", "1", "--threads", "2"])
    rows = re.findall(r"^(.+?) +(\d+\.\d+) +\d+\.\d$", capsys.readouterr().out, re.M)
    assert [name for name, _ in rows][:4] == ["reading", "encoding, 1 thread", "encoding", "reading and encoding"]
    assert len(rows) == 8
