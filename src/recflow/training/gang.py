"""The gang: processes that train one model together, joined by torchrun's environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from recflow.errors import JobInterrupted

_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Gang:
    """This process's place among the gang's processes."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same on each; JobInterrupted when a process is gone."""
        if self.size > 1:
            try:
                distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise JobInterrupted(
                    f"rank {self.rank} lost the gang", expected=f"{self.size} processes", seen=str(error)
                ) from error
        return tensor


@contextmanager
def join_gang(threads: int = 0) -> Iterator[Gang]:
    """Join the processes that torchrun started; alone without its environment. 0 threads: cores / processes."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    before = torch.get_num_threads()
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    cuda = torch.cuda.is_available()
    if size > 1:
        distributed.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield Gang(rank, size, f"cuda:{local}" if cuda else "cpu")
    finally:
        torch.set_num_threads(before)
        if size > 1:
            distributed.destroy_process_group()
