"""The commands `cae-encode`, `cae-decode` and `cae-info`."""
