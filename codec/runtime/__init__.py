"""Devices, threads, forks, caches, warnings, whole writes, the environment. `cpu`, `devices`, `torch_threads` know torch."""
