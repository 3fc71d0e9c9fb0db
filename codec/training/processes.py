"""Data-parallel training in several processes, as torchrun starts them: gradients are summed over all of them."""

from __future__ import annotations

import atexit
import dataclasses
import os

import torch
from torch import Tensor, distributed

AGREE_EVERY = 10
"""Steps between two moments at which processes exchange a flag. To exchange it means to wait for the GPU."""


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process's rank, from 0, and the number of processes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Joins the processes that torchrun started, each of which takes its own GPU; without torchrun there is only one."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            # threads of the group that outlive the interpreter would abort the process
            atexit.register(distributed.destroy_process_group)
        joined = cls(distributed.get_rank(), distributed.get_world_size())
        if device.type == "cuda":
            # the group sends from the current device
            torch.cuda.set_device(joined.local_rank)
        return joined

    @property
    def local_rank(self) -> int:
        """The rank among the processes on this machine, which is the number of the GPU."""
        return int(os.environ.get("LOCAL_RANK", self.rank))

    @property
    def is_first(self) -> bool:
        """True for the one process that logs, saves and exports."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """This process's equal part of the numbers 0 … total - 1; `total` must be a multiple of the number of processes."""
        each = total // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def sum(self, x: Tensor) -> Tensor:
        """Adds up all processes' tensors, in place."""
        if self.count > 1:
            distributed.all_reduce(x)
        return x

    def any(self, flag: bool, step: int) -> bool:
        """True if any process's flag is set. Several processes exchange it only every `AGREE_EVERY` steps."""
        if self.count == 1:
            return flag
        if step % AGREE_EVERY:
            return False
        total = torch.tensor([float(flag)], device="cuda" if distributed.get_backend() == "nccl" else "cpu")
        return bool(self.sum(total).item())
