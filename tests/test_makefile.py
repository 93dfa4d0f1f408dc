"""The Makefile: what it would do, and what it does with throw-away notebooks in an environment that is already there."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

RESULT = """from pathlib import Path
from lib import paths
with (paths.ROOT / "runs").open("a") as stream:
    stream.write(Path.cwd().name + " ")"""


@pytest.fixture
def made(project):
    """A throw-away project with the Makefile and an environment that counts as installed."""
    project.make("help")
    environment = project.root / "environment"
    environment.mkdir()
    for item in Path(sys.prefix).iterdir():
        (environment / item.name).symlink_to(item)
    (environment / ".installed").unlink(missing_ok=True)
    (environment / ".installed").touch()
    project.profile("quick", '# a comment\nminutes: {}\n"04": {}\n"05": {}\n')
    project.notebook(RESULT)
    project.notebook(RESULT, name="05_other")
    return project


def make(project, *arguments, venv="environment"):
    return project.make(f"VENV={venv}", *arguments)


def test_help_is_the_default_and_names_every_target(made):
    text = make(made).stdout
    assert text == make(made, "help").stdout
    targets = re.search(r"^\.PHONY: (.*) validated", (made.root / "Makefile").read_text(), flags=re.MULTILINE)[1].split()
    documented = re.findall(r"^make ([a-z]+)\s+\S", text, flags=re.MULTILINE)
    assert sorted(documented) == sorted(targets)
    assert {"figures", "test", "check", "notebooks", "lab", "plan", "report", "benchmark", "clean", "distclean"} <= set(documented)
    assert "one notebook: 04 05" in text


def test_an_unknown_profile_is_named_with_those_there_are(made):
    answer = make(made, "figures", "PROFILE=qiuck")
    assert answer.returncode != 0
    assert "PROFILE: found qiuck; expected one of quick" in answer.stderr


def test_environment_is_built_from_the_lock_before_anything_else(made):
    lines = make(made, "-n", "figures", venv="new").stdout.splitlines()
    order = ("sys.version_info", "-m venv", "--requirement requirements.lock", "--editable .", "touch new/.inst", "lib plan", "lib run 0")
    places = [next(index for index, line in enumerate(lines) if part in line) for part in order]
    assert places == sorted(places)
    assert all(line.startswith(("python3", "new/bin/", "touch")) for line in lines)


def test_environment_is_built_again_only_when_the_lock_changed(made):
    assert "pip install" not in make(made, "-n", "figures").stdout
    later = time.time() + 10
    os.utime(made.root / "requirements.lock", (later, later))
    assert "pip install" in make(made, "-n", "figures").stdout


@pytest.mark.parametrize(("version", "accepted"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_python_is_checked_first(made, version, accepted):
    """A stand-in says which version it is, and answers nothing but that question."""
    python = made.root / "python-stand-in"
    code = f"import sys; sys.version_info = {(*version, 0, 'final', 0)}; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then exec "{sys.executable}" -c "{code}" "$2"; fi\necho asked for "$@" >&2; exit 1\n')
    python.chmod(0o755)
    answer = make(made, "figures", "PYTHON=./python-stand-in", venv="new")
    assert answer.returncode != 0
    assert ("asked for -m venv new" in answer.stderr) == accepted
    found = f"PYTHON: found Python {version[0]}.{version[1]} as ./python-stand-in; expected 3.11 to 3.13"
    assert (found in answer.stderr) != accepted
    assert not (made.root / "new" / ".installed").exists()


def test_threads_do_not_spin_against_each_other(made):
    (made.root / "Makefile").write_text((made.root / "Makefile").read_text() + "\nshow:\n\t@echo $$OMP_WAIT_POLICY\n")
    assert make(made, "show").stdout == "PASSIVE\n"


def test_test_and_check_are_what_they_say(made):
    tested, checked = make(made, "-n", "test").stdout, make(made, "-n", "check").stdout
    assert "ruff check lib notebooks\n" in tested
    assert "environment/bin/python -m pytest\n" in tested
    stored = r"pytest --nbval-lax .*--nbval-sanitize-with notebooks/sanitize\.cfg .*notebooks/04_tiny\.ipynb notebooks/05_other\.ipynb"
    assert re.search(stored, tested)
    assert 'pytest -m "not slow"' in checked
    assert "nbval" not in checked
    for path in (made.root / "notebooks").glob("*.ipynb"):
        path.unlink()
    assert "nbval" not in make(made, "-n", "test").stdout


def test_clean_spares_data_and_environment_and_distclean_spares_downloads(made):
    for folder in ("build/quick", "data/cache/a", "data/weights/b", "data/results/quick", "figures/quick", "new/bin"):
        (made.root / folder).mkdir(parents=True)
    assert make(made, "clean", venv="new").returncode == 0
    assert not (made.root / "build").exists()
    assert (made.root / "data/cache/a").exists()
    assert make(made, "distclean", venv="new").returncode == 0
    assert not (made.root / "data/cache").exists()
    assert not (made.root / "new").exists()
    assert all((made.root / folder).exists() for folder in ("data/weights/b", "data/results/quick", "figures/quick"))


@pytest.mark.slow
def test_figures_in_parallel_then_nothing_to_do_in_a_moment(made):
    answer = make(made, "-j2", "figures")
    assert answer.returncode == 0, answer.stderr
    assert (made.root / "runs").read_text() == "notebooks notebooks "
    assert {path.suffix for path in (made.root / "notebooks").iterdir()} == {".ipynb", ""}  # nothing by which kernels were reached
    start = time.perf_counter()
    answer = make(made, "figures")
    assert time.perf_counter() - start < 5
    assert answer.stdout.splitlines() == ["04_tiny (quick): up to date", "05_other (quick): up to date"]
    (made.root / "lib" / "paths.py").write_text((made.root / "lib" / "paths.py").read_text() + "\nNEW = 1\n")
    assert "04_tiny (quick): done" in make(made, "04").stdout
    assert (made.root / "runs").read_text() == "notebooks " * 3


@pytest.mark.slow
def test_a_failing_notebook_stops_make_now_and_next_time(made):
    made.notebook("1 / 0", name="05_other")
    for _ in range(2):
        answer = make(made, "figures")
        assert answer.returncode != 0
        assert "ZeroDivisionError" in answer.stderr
    assert "04_tiny (quick): up to date" in answer.stdout


def test_a_wrong_parameter_of_one_notebook_stops_all(made):
    made.profile("quick", '"04": {}\n"05": {sede: 1}\n')
    answer = make(made, "figures")
    assert answer.returncode != 0
    assert "05_other: parameter sede: unknown" in answer.stderr
    assert not (made.root / "runs").exists()
