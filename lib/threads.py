"""Array work shared out between two threads: NumPy and torch release the interpreter lock while they compute."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

THREADS = 2


def share_out(work: Callable[[Iterator[slice]], None], rows: int, step: int) -> None:
    """Hand out the rows of an array, `step` at a time, until none are left.

    Args:
        work: called once in each thread with an iterator over slices, from which both threads draw; what it allocates before its loop is
            allocated once a thread.
        rows: how many there are.
        step: rows a slice, at least 1 is taken.

    Raises:
        Whatever `work` raises, once the other thread has stopped.
    """
    step = max(1, step)
    chunks = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
    shared = iter(chunks)
    if len(chunks) == 1:  # starting threads would take longer
        work(shared)
        return
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        list(pool.map(work, [shared] * THREADS))
