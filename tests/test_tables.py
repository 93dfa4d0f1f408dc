"""Tables as text: rounded, and equal bytes for equal tables."""

import numpy as np
import pandas as pd

from lib.tables import write_csv


def test_six_digits_in_every_kind_of_column_and_lf_ends(tmp_path):
    table = pd.DataFrame({
        "exact": [1.0, 1 / 3],
        "single": np.array([1e-9 / 3, 2 / 3], np.float32),
        "mixed": pd.Series([2 / 3, "text"], dtype=object),
        "whole": [123456789, 2],
        "truth": [True, False],
        "words": ["a,b", None],
        "missing": [np.nan, 1.0],
    })
    write_csv(tmp_path / "folder" / "table.csv", table)
    assert (tmp_path / "folder" / "table.csv").read_bytes() == (
        b"exact,single,mixed,whole,truth,words,missing\n"
        b'1,3.33333e-10,0.666667,123456789,True,"a,b",\n'
        b"0.333333,0.666667,text,2,False,,1\n"
    )


def test_an_index_is_written_if_it_says_something(tmp_path):
    table = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="layer"))
    write_csv(tmp_path / "table.csv", table)
    assert (tmp_path / "table.csv").read_text() == "layer,x\na,1\nb,2\n"


def test_the_table_itself_is_left_alone(tmp_path):
    table = pd.DataFrame({"mixed": pd.Series([2 / 3, "text"], dtype=object)})
    write_csv(tmp_path / "table.csv", table)
    assert table["mixed"][0] == 2 / 3
