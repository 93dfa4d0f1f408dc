"""Folders, the mirror, and files that are there whole or not at all."""

from pathlib import Path

import pytest

from lib import paths


def test_root_is_the_folder_above_lib_and_holds_everything():
    assert (paths.ROOT / "lib" / "paths.py").is_file()
    assert (paths.ROOT / "pyproject.toml").is_file()
    assert {paths.CACHE, paths.WEIGHTS, paths.IMAGES, paths.RESULTS, paths.REPORTED} == {
        paths.ROOT / "data" / name for name in ("cache", "weights", "images", "results", "reported")
    }


@pytest.mark.parametrize("value", [None, ""])
def test_no_mirror_without_the_variable(monkeypatch, value):
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    if value is not None:
        monkeypatch.setenv("DATA_MIRROR", value)
    assert paths.mirror() is None


def test_mirror_is_looked_for_here_then_from_the_root(monkeypatch, tmp_path):
    root, here = tmp_path / "root", tmp_path / "here"
    (root / "data").mkdir(parents=True)
    here.mkdir()
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.chdir(here)
    monkeypatch.setenv("DATA_MIRROR", "data")
    assert paths.mirror() == root / "data"
    (here / "data").mkdir()
    assert paths.mirror() == here / "data"
    monkeypatch.setenv("DATA_MIRROR", str(root / "data"))
    assert paths.mirror() == root / "data"


def test_missing_mirror_is_an_error_that_names_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"DATA_MIRROR: found '.*nowhere', and there is no folder"):
        paths.mirror()


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with paths.atomically(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "first"

    def fail():
        with paths.atomically(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "first"
    assert [Path(item.name) for item in path.parent.iterdir()] == [Path("file.txt")]
