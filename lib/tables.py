"""Tables as CSV files."""

from pathlib import Path

import pandas as pd

from lib.paths import atomically


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table so that equal tables are equal bytes: floats with 6 significant digits, LF at line ends, no index if it only counts."""
    def rounded(value: object) -> object:
        return f"{value:.6g}" if isinstance(value, float) and value == value else value

    # pandas formats float columns only; floats among objects would keep all their digits.
    mixed = table.columns[table.dtypes.map(pd.api.types.is_object_dtype)]
    table = table.assign(**{column: table[column].map(rounded) for column in mixed})
    with atomically(path) as temporary:
        table.to_csv(temporary, float_format="%.6g", lineterminator="\n", index=not isinstance(table.index, pd.RangeIndex))
