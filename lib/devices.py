"""Devices and threads in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Sums over a batch depend on how threads split it: a fixed number keeps trained weights the same whatever the machine's core count.
TRAINING_THREADS = 2


@contextmanager
def training_threads() -> Iterator[None]:
    """Run with a fixed number of threads, then restore the caller's."""
    before = torch.get_num_threads()
    torch.set_num_threads(TRAINING_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
