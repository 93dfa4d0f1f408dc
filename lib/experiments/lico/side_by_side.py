"""Pieces of work that keep what they make in the cache, two beside each other where there is no accelerator."""

from collections.abc import Callable, Mapping

import torch

from lib import processes


def work_beside(work: Callable[..., None], pieces: Mapping[object, tuple], *, description: str) -> None:
    """Have the work done for each piece, by two processes; with an accelerator, or one piece, it is left to the caller.

    Args:
        work: a function of a module, or a partial of one, that keeps its result in the cache and returns nothing.
        pieces: name -> arguments.
        description: of the progress bar.
    """
    if len(pieces) > 1 and not torch.cuda.is_available():
        processes.share_out(work, pieces, description=description)
