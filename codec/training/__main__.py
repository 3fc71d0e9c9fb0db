"""`python -m codec.training`, as `cae-train`; torchrun starts it in several processes."""

from .command import main

main()
