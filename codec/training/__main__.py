"""`python -m codec.training`: the same as `cae-train`, for torchrun, which starts it in several processes."""

from .command import main

main()
