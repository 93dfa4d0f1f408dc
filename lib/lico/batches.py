"""The pictures and labels of every step of a training, in an order that belongs to a seed."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from lib.keyed_random import generator, keys
from lib.lico.loading import Loader
from lib.lico.plan import Plan


def batches(
    load: Loader, labels: np.ndarray, plan: Plan, seed: int, *, start: int = 0, ahead: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pictures (B, 3, side, side) and labels (B,) of every step, in order.

    Args:
        load: row numbers and a generator for augmentation -> pictures.
        labels: (pictures,) int64.
        plan: for its steps and batch size.
        seed: of order and augmentation.
        start: the first step.
        ahead: batches that threads of their own load while one is computed; 0: none.
    """

    def batch(step):
        rows = batch_rows(len(labels), plan.batch_size, step, seed)
        return load(rows, _generator(seed, step)), torch.from_numpy(labels[rows])

    if not ahead:
        yield from map(batch, range(start, plan.steps))
        return
    with ThreadPoolExecutor(ahead) as pool:
        waiting = deque(pool.submit(batch, step) for step in range(start, min(start + ahead, plan.steps)))
        for step in range(start, plan.steps):
            if step + ahead < plan.steps:
                waiting.append(pool.submit(batch, step + ahead))
            yield waiting.popleft().result()


def batch_rows(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """Rows of a step: every epoch goes through all pictures in an order of its own, and what does not fill a batch waits for another."""
    epoch, place = divmod(step, count // size)
    return np.sort(_order(count, seed, epoch)[place * size : (place + 1) * size])


@lru_cache(maxsize=4)
def _order(count, seed, epoch):
    """Of all pictures; of a million it takes as long as loading a batch."""
    return generator(seed, 115, epoch).permutation(count)


def _generator(seed, step):
    return torch.Generator().manual_seed(int(keys(seed, 118, step) >> np.uint64(1)))
