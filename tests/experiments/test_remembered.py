"""Tables kept piece by piece."""

import pytest

from lib import store
from lib.experiments import remembered as module_under_test
from lib.experiments.remembered import remembered


def test_rows_are_made_once_and_read_back(tmp_path, monkeypatch):
    fetch = store.fetch
    monkeypatch.setattr(module_under_test.store, "fetch", lambda *arguments, **more: fetch(*arguments, folder=tmp_path, **more))
    made = []

    def make():
        made.append(1)
        return [{"name": "a", "value": 0.5, "count": 3}, {"name": "longer", "value": float("nan"), "count": 4}]

    tables = [remembered("rows", {"which": 1}, make, code=[remembered]) for _ in range(2)]
    assert len(made) == 1
    assert tables[0].equals(tables[1])
    assert tables[0]["name"].tolist() == ["a", "longer"]
    assert tables[0]["count"].tolist() == [3, 4]
    remembered("rows", {"which": 2}, make, code=[remembered])
    assert len(made) == 2
    with pytest.raises(ValueError, match="rows: found no rows"):
        remembered("rows", {"which": 3}, list, code=[remembered])
