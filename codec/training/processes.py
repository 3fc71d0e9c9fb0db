"""Several processes that train one model together, as torchrun starts them: data parallel, gradients summed."""

from __future__ import annotations

import atexit
import dataclasses
import os

import torch
from torch import Tensor, distributed

AGREE_EVERY = 10
"""Steps between two moments at which processes agree to go on: to ask waits for the GPU."""


@dataclasses.dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Joins the processes that torchrun started, of which each takes a GPU of its own; else there is but one."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            # The group's threads, met by the end of the interpreter, abort the process.
            atexit.register(distributed.destroy_process_group)
        joined = cls(distributed.get_rank(), distributed.get_world_size())
        if device.type == "cuda":
            # what is sent is on the current device
            torch.cuda.set_device(joined.local_rank)
        return joined

    @property
    def local_rank(self) -> int:
        """Its number among those on this machine: that of its GPU."""
        return int(os.environ.get("LOCAL_RANK", self.rank))

    @property
    def is_first(self) -> bool:
        """Whether this is the one that logs, saves and exports."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """This process's numbers of 0 … total - 1: an equal part, which `total` must allow."""
        each = total // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, x: Tensor) -> Tensor:
        """Adds up all processes' tensors, in place."""
        if self.count > 1:
            distributed.all_reduce(x)
        return x

    def any(self, flag: bool, step: int) -> bool:
        """Whether any process's flag is set; with several of them it is asked for every `AGREE_EVERY` steps alone."""
        if self.count == 1:
            return flag
        if step % AGREE_EVERY:
            return False
        held = torch.tensor([float(flag)], device="cuda" if distributed.get_backend() == "nccl" else "cpu")
        return bool(self.sum(held).item())
