"""Environment variables that torch, NumPy and their libraries read once, when they are loaded. Imports neither."""

import os


def prepare() -> None:
    """Sets defaults for variables that the user has not set; must run before the first import of torch or NumPy.

    Only commands call this. In a program that imports the package, the environment belongs to the program.

    Threads that wait for work spin for a while before they sleep. By GNU OpenMP's default, two processes on the same
    processors slow each other down seven times. The shorter time here costs a single process less than a tenth on small
    pictures, and nothing on large ones.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    # huge pages save a tenth to a fifth of the time on CPUs
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # tiles and windows are worked on side by side; threads of NumPy's products would only wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
