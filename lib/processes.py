"""Independent pieces of work shared out between two processes, where threads would wait for the interpreter or for one another."""

from collections.abc import Callable, Mapping
from typing import Any

import torch  # here, so that a process has it before its first piece: joblib restarts one that grows much afterwards
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

PROCESSES = 2


def share_out(work: Callable, pieces: Mapping[Any, tuple], *, description: str) -> dict:
    """What the work returns for each piece, in the order of the pieces.

    Every process starts with one thread, whatever the machine has, so that a result does not depend on it.

    Args:
        work: a function of a module, or a partial of one.
        pieces: name -> arguments.
        description: of the progress bar.

    Raises:
        Whatever `work` raises; pieces that have not been started are dropped.
    """
    calls = (delayed(_alone)(work, arguments) for arguments in pieces.values())
    with parallel_config("loky", inner_max_num_threads=1):
        # Arrays are copied: those shared through files can only be read, of which torch warns.
        found = Parallel(PROCESSES, return_as="generator", max_nbytes=None, pre_dispatch=PROCESSES)(calls)
        return dict(zip(pieces, tqdm(found, description, total=len(pieces), leave=False), strict=True))


def _alone(work, arguments):
    torch.set_num_threads(1)
    return work(*arguments)
