"""A fixed number of torch's threads for a piece of work.

Sums, and so the last digits of a result, depend on how many threads share them. And where each pass over the data is short, starting a
second thread costs more than it saves: on two virtual cores a small probe was fitted five times faster by one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exactly(threads: int) -> Iterator[None]:
    """Run with so many threads, then restore the caller's; serves as a decorator too."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
