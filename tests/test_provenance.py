"""Results and their records: the same bytes from run to run, and everything that went in and came out is in them."""

import json
import subprocess

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from lib import profiles, provenance
from lib.fingerprint import file_sha256


@pytest.fixture
def settings(project):
    path = project.notebook("from lib import paths")
    return profiles.resolve(path, "quick")


def whole_run(project, settings):
    """One run with an input, a table and a figure; the bytes of all it wrote but the volatile record."""
    run = provenance.Run("04_tiny", settings, root=project.root)
    reported = run.reported("paper")
    run.table("claims", pd.DataFrame({"x": [1 / 3]}))
    figure, axes = plt.subplots()
    axes.plot(reported["x"])
    run.figure("04_line", figure, reported)
    plt.close(figure)
    line = run.finish()
    written = [*(project.root / "data" / "results").rglob("*.*"), *(project.root / "figures").rglob("*.*")]
    return line, {file.relative_to(project.root).as_posix(): file.read_bytes() for file in written}


@pytest.fixture
def reported(project):
    file = project.root / "data" / "reported" / "paper.csv"
    file.parent.mkdir(parents=True)
    file.write_text("x\n1\n2\n")
    return file


def test_a_second_run_writes_the_same_bytes(project, settings, reported):
    first, second = whole_run(project, settings), whole_run(project, settings)
    assert first == second
    assert sorted(first[1]) == [
        "data/results/quick/04_claims.csv",
        "data/results/quick/04_tiny.provenance.json",
        "figures/quick/04_line.csv",
        "figures/quick/04_line.png",
        "figures/quick/04_line.svg",
    ]


def test_record_holds_settings_and_hashes_of_all_that_went_in_and_came_out(project, settings, reported):
    line, written = whole_run(project, settings)
    record = json.loads(written.pop("data/results/quick/04_tiny.provenance.json"))
    assert record["settings"] == {"seed": 0, "rate": 0.1, "profile": "quick"}
    assert record["inputs"] == {"data/reported/paper.csv": file_sha256(reported)}
    assert record["files"] == {name: file_sha256(project.root / name) for name in written}
    assert line == f"04_tiny, profile quick, content key {record['content_key'][:12]}: 1 tables, 1 figures"
    with Image.open(project.root / "figures" / "quick" / "04_line.png") as picture:
        assert picture.text == {"Notebook": "04_tiny", "Profile": "quick", "Content key": record["content_key"]}


def test_content_key_follows_cells_and_settings(project, settings):
    def key(given, *cells):
        path = project.notebook(*cells)
        return provenance.Run("04_tiny", profiles.resolve(path, "quick", given), root=project.root).content_key

    keys = [key({}, "x = 1"), key({"seed": "1"}, "x = 1"), key({}, "x = 2"), key({}, "x = 1", "from lib import paths")]
    assert len(set(keys)) == 4
    assert key({}, "x = 1") == keys[0]


def test_what_changes_from_run_to_run_is_kept_apart(project, settings):
    assert provenance.last_seconds("04_tiny", "quick", project.root) is None
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.finish()
    record = json.loads((project.root / "build" / "provenance" / "quick" / "04_tiny.json").read_text())
    assert record["content_key"] == run.content_key
    assert record["commit"] == record["dirty"] == "unknown"
    assert record["packages"]["torch"][0].isdigit()
    assert record["seconds"] >= 0
    assert provenance.last_seconds("04_tiny", "quick", project.root) == record["seconds"]


def test_commit_and_whether_files_differ_from_it(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.commit(tmp_path) == {"commit": "unknown", "dirty": "unknown"}
    git("init", "--quiet")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "--quiet", "--no-verify", "--message", "first")
    assert provenance.commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("b")
    assert provenance.commit(tmp_path)["dirty"] is True


def test_files_are_those_of_the_last_run_with_the_same_content(project, settings, reported):
    path = project.root / "notebooks" / "04_tiny.ipynb"
    assert provenance.files(path, settings, project.root) == []
    _, written = whole_run(project, settings)
    assert sorted(provenance.files(path, settings, project.root)) == sorted([*written, "data/reported/paper.csv"])
    assert provenance.files(path, profiles.resolve(path, "quick", {"seed": "1"}), project.root) == []


def test_a_missing_input_or_notebook_is_named(project, settings):
    run = provenance.Run("04_tiny", settings, root=project.root)
    with pytest.raises(FileNotFoundError, match=r"reported/paper\.csv"):
        run.reported("paper")
    with pytest.raises(ValueError, match="notebook: found '05_none'; expected one of 04"):
        provenance.Run("05_none", settings, root=project.root)
