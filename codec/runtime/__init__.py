"""Devices, threads, forks and the environment. Knows torch, and no network."""
