"""Conformance suite: files with what any decoder must make of them. `python -m conformance --help`."""
