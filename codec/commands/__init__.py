"""The commands `cae-encode`, `cae-decode`, `cae-info`, `cae-inspect`, `cae-serve` and `cae-export`.

Functions import NumPy, torch and what needs them, not modules: `--help` and errors of usage would take a second longer.
"""
