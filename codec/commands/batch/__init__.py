"""Runs the work of `cae-encode` and `cae-decode` on one file or on many, here or on a Dask cluster."""
