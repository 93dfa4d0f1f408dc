"""Results and their records: the same bytes from run to run, and everything that went in and came out is in them."""

import json
import shutil
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
    path = project.root / "notebooks" / "04_tiny.ipynb"
    assert provenance.last_seconds(path, settings, project.root) is None
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.finish()
    record = json.loads((project.root / "build" / "provenance" / "quick" / "04_tiny.json").read_text())
    assert record["content_key"] == run.content_key
    assert record["commit"] == record["dirty"] == "unknown"
    assert record["packages"]["torch"][0].isdigit()
    assert record["seconds"] >= 0
    assert provenance.last_seconds(path, settings, project.root) == record["seconds"]


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
    project.notebook("x = 2")
    assert provenance.files(path, settings, project.root) == []


def test_other_values_than_those_of_the_profile_stay_out_of_the_committed_folders(project, settings, reported, capsys):
    path = project.root / "notebooks" / "04_tiny.ipynb"
    project.profile("study", '"04": {rate: 0.5}\n')
    _, standard = whole_run(project, settings)
    study_in_name_only = settings.model_copy(update={"profile": "study"})
    assert capsys.readouterr().out == ""
    line, after = whole_run(project, study_in_name_only)
    assert capsys.readouterr().out == "profile study with another rate: results go to build/custom/study\n"
    assert line.startswith("04_tiny, profile study with another rate, content key ")
    assert line.endswith(": 1 tables, 1 figures")
    assert after == standard
    custom = project.root / "build" / "custom" / "study"
    assert sorted(file.relative_to(custom).as_posix() for file in custom.rglob("*.*")) == [
        "figures/04_line.csv",
        "figures/04_line.png",
        "figures/04_line.svg",
        "provenance/04_tiny.json",
        "results/04_claims.csv",
        "results/04_tiny.provenance.json",
    ]
    written = [f"build/custom/study/{name}" for name in ("figures/04_line.svg", "results/04_claims.csv", "results/04_tiny.provenance.json")]
    assert set(written) < set(provenance.files(path, study_in_name_only, project.root))
    assert provenance.files(path, profiles.resolve(path, "study"), project.root) == []
    assert sorted(provenance.files(path, settings, project.root)) == sorted([*standard, "data/reported/paper.csv"])


def test_nothing_is_touched_before_the_end(project, settings, reported):
    _, before = whole_run(project, settings)
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.table("claims", pd.DataFrame({"x": [2]}))
    run.table("half", pd.DataFrame({"x": [2]}))
    results = project.root / "data" / "results" / "quick"
    assert {f"data/results/quick/{file.name}": file.read_bytes() for file in results.iterdir()}.items() <= before.items()
    del run
    assert list((project.root / "build" / "staging" / "quick" / "04_tiny").iterdir()) == []


def test_what_the_run_before_left_and_this_one_did_not_make_is_removed(project, settings, reported):
    whole_run(project, settings)
    results, figures = project.root / "data" / "results" / "quick", project.root / "figures" / "quick"
    (results / "04_old_name.provenance.json").write_text("{}")
    (results / "05_other.csv").write_text("x\n")
    (figures / "05_other.png").write_text("x\n")
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.table("new", pd.DataFrame({"x": [1]}))
    first = run.finish()
    assert sorted(file.name for file in results.iterdir()) == ["04_new.csv", "04_tiny.provenance.json", "05_other.csv"]
    assert [file.name for file in figures.iterdir()] == ["05_other.png"]
    assert run.finish() == first
    assert (results / "04_new.csv").read_text() == "x\n1\n"


def test_no_record_stands_beside_results_that_are_not_its_own(project, settings, reported, monkeypatch):
    whole_run(project, settings)
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.table("claims", pd.DataFrame({"x": [2]}))
    run.table("more", pd.DataFrame({"x": [2]}))
    moved = []

    def move(source, target, real=shutil.move):
        if moved:
            raise OSError("disk full")
        moved.append(real(source, target))

    monkeypatch.setattr(shutil, "move", move)
    with pytest.raises(OSError, match="disk full"):
        run.finish()
    results = project.root / "data" / "results" / "quick"
    assert [file.name for file in results.iterdir()] == ["04_claims.csv"]
    assert (results / "04_claims.csv").read_text() == "x\n2\n"


def test_two_runs_at_the_same_time_do_not_disturb_each_other(project, settings):
    runs = [provenance.Run("04_tiny", settings, root=project.root) for _ in range(2)]
    for number, run in enumerate(runs):
        run.table("number", pd.DataFrame({"x": [number]}))
    for number in (1, 0):
        runs[number].finish()
        assert (project.root / "data" / "results" / "quick" / "04_number.csv").read_text() == f"x\n{number}\n"


def test_after_a_failed_cell_nothing_is_saved(project, settings, reported, monkeypatch):
    """JupyterLab and nbval run the last cell although one above it has failed."""
    monkeypatch.setattr("sys.last_value", KeyError("of an earlier run"), raising=False)
    _, before = whole_run(project, settings)
    run = provenance.Run("04_tiny", settings, root=project.root)
    run.table("claims", pd.DataFrame({"x": [2]}))
    monkeypatch.setattr("sys.last_value", KeyError("in a cell"))
    with pytest.raises(RuntimeError, match="04_tiny: found a cell that failed; expected none; nothing saved"):
        run.finish()
    assert {name: (project.root / name).read_bytes() for name in before} == before


def test_a_notebook_outside_the_profile_is_refused(project, settings):
    project.profile("study", '"05": {}\n')
    with pytest.raises(profiles.ParameterError, match="04_tiny: not in profile study"):
        provenance.Run("04_tiny", settings.model_copy(update={"profile": "study"}), root=project.root)


def test_a_missing_input_or_notebook_is_named(project, settings):
    run = provenance.Run("04_tiny", settings, root=project.root)
    with pytest.raises(FileNotFoundError, match=r"reported/paper\.csv"):
        run.reported("paper")
    with pytest.raises(ValueError, match="notebook: found '05_none'; expected one of 04"):
        provenance.Run("05_none", settings, root=project.root)
