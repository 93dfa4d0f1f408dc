"""Tables whose rows take long to make, kept piece by piece, so that an interrupted run goes on where it stopped."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib import store


def remembered(kind: str, inputs: dict, make: Callable[[], list[dict]], *, code: Sequence[object]) -> pd.DataFrame:
    """Rows of plain numbers and texts, read from the cache, or made and kept.

    Args:
        kind: names a folder of the cache.
        inputs: plain values that determine the rows, together with the code.
        make: returns at least one row, name -> number or text, all with the same names.
        code: what `make` runs.

    Raises:
        ValueError: if there is no row.
    """

    def columns():
        rows = make()
        if not rows:
            raise ValueError(f"{kind}: found no rows; expected at least one")
        return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}

    return pd.DataFrame(store.fetch(kind, inputs, columns, code=code))
