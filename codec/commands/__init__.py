"""The commands `cae-encode`, `cae-decode`, `cae-info`, `cae-inspect` and `cae-serve`."""
