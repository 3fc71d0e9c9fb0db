"""The commands `cae-encode`, `cae-decode`, `cae-info`, `cae-inspect` and `cae-serve`.

Functions import NumPy, torch and what needs them, not modules: `--help` and errors of usage would take a second longer.
"""
