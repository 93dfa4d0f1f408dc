"""The runner, on throw-away notebooks: what is checked first, what failure leaves, and when there is nothing to do."""

import json
import os
import subprocess
import sys
import time

import nbformat
import pytest

from lib import notebooks

SETUP = """import sys
from lib import profiles, provenance, sums
settings = profiles.from_namespace("04", globals())
run = provenance.Run("04_tiny", settings)"""
RESULT = """import pandas as pd
run.table("result", pd.DataFrame({"x": [sums.TWO / 3 * (1 + settings.seed)]}))
print(run.finish())"""


@pytest.fixture
def tiny(project):
    """A project with one notebook that writes one table with the help of one module."""
    (project.root / "lib" / "sums.py").write_text("TWO = 2\n")
    project.notebook(SETUP, RESULT)
    return project


def built(project, ending=".ipynb"):
    return project.root / "build" / "quick" / f"04_tiny{ending}"


def result(project):
    return (project.root / "data" / "results" / "quick" / "04_result.csv").read_text()


def ran(project, *arguments):
    """Run notebook 04; whether it ran (or was up to date)."""
    answer = project.lib("run", "04", *arguments)
    assert answer.returncode == 0, answer.stderr
    assert ("up to date" in answer.stdout) != ("done in" in answer.stdout)
    return "done in" in answer.stdout


def test_success_then_nothing_to_do_in_a_moment(tiny):
    answer = tiny.lib("run", folder=tiny.root / "notebooks")
    assert answer.returncode == 0, answer.stderr
    assert built(tiny).is_file()
    assert not built(tiny, ".partial.ipynb").exists()
    assert result(tiny) == "x\n0.666667\n"

    start = time.perf_counter()
    answer = tiny.lib("run", "all")
    assert time.perf_counter() - start < 5
    assert answer.stdout == "04_tiny (quick): up to date\n"
    assert tiny.lib("plan").stdout.startswith("04_tiny (quick): up to date; cost not stated, ")


@pytest.mark.slow
def test_kernel_is_this_python_in_the_notebooks_folder_without_progress_bars(project):
    shown = ("sys.executable", "os.getcwd()", 'os.environ["TQDM_DISABLE"], os.environ["OMP_WAIT_POLICY"]')
    project.notebook("\n".join(["import os, sys", *(f"print({expression})" for expression in shown)]))
    answer = project.lib("run", "4")
    assert answer.returncode == 0, answer.stderr
    printed = nbformat.read(built(project), 4).cells[-1].outputs[0].text
    assert printed.splitlines() == [sys.executable, str(project.root / "notebooks"), "1 PASSIVE"]


def test_asking_does_not_import_what_is_slow(tiny):
    slow = ("torch", "pandas", "numpy", "matplotlib", "papermill", "IPython")
    answer = tiny.python("-c", f"import sys, lib.__main__ as m\nm.main(['plan'])\nprint([name for name in {slow} if name in sys.modules])")
    assert answer.stdout.splitlines()[-1] == "[]", answer.stderr


def test_a_failing_cell_is_shown_and_leaves_no_finished_target(tiny):
    tiny.notebook(SETUP, "text = 'before'\nraise KeyError('of the test')", RESULT)
    answer = tiny.lib("run", "04")
    assert answer.returncode == 1
    assert "notebooks/04_tiny.ipynb failed; what ran of it is kept in build/quick/04_tiny.partial.ipynb" in answer.stderr
    assert "cell 4 of 5:\n    text = 'before'\n    raise KeyError('of the test')\n" in answer.stderr
    assert "KeyError: 'of the test'" in answer.stderr
    assert built(tiny, ".partial.ipynb").is_file()
    assert not built(tiny).exists()
    assert not built(tiny, ".stamp.json").exists()


@pytest.mark.slow
def test_a_failure_after_a_success_is_not_up_to_date(tiny):
    assert ran(tiny)
    tiny.notebook(SETUP, RESULT.replace("TWO / 3", "TWO / 5").replace("print(run.finish())", "1 / 0"))
    for _ in range(2):
        answer = tiny.lib("run", "04")
        assert answer.returncode == 1
        assert "ZeroDivisionError" in answer.stderr
        assert not built(tiny).exists()
        assert result(tiny) == "x\n0.666667\n"
    assert [file for file in (tiny.root / "build" / "staging").rglob("*") if file.is_file()] == []
    tiny.notebook(SETUP, RESULT)
    assert ran(tiny)


@pytest.mark.slow
def test_a_killed_kernel_is_a_failure(tiny):
    tiny.notebook(SETUP, "import os\nos._exit(9)", RESULT)
    answer = tiny.lib("run", "04")
    assert answer.returncode == 1
    assert "cell 4 of 5:\n    import os\n    os._exit(9)" in answer.stderr
    assert "Kernel died" in answer.stderr
    assert not built(tiny).exists()
    assert not built(tiny, ".stamp.json").exists()


@pytest.mark.slow
def test_a_killed_runner_leaves_no_finished_target_and_its_kernel_ends(tiny):
    tiny.notebook(SETUP, "import os, pathlib, time\npathlib.Path('../pid').write_text(str(os.getpid()))\ntime.sleep(600)", RESULT)
    process = subprocess.Popen([sys.executable, "-m", "lib", "run", "04"], cwd=tiny.root, env=os.environ | {"PYTHONPATH": str(tiny.root)})
    pid = tiny.root / "pid"
    wait_until(lambda: pid.exists() and pid.read_text())
    process.kill()
    process.wait()
    assert built(tiny, ".partial.ipynb").exists()
    assert not built(tiny).exists()
    assert not built(tiny, ".stamp.json").exists()
    wait_until(lambda: not runs(int(pid.read_text())))
    tiny.notebook(SETUP, RESULT)
    assert ran(tiny)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("arguments", "message"), [
    (["run", "04", "-p", "sede", "1"], "error: 04_tiny: parameter sede: unknown (from the command line); nearest: seed"),
    (["run", "04", "-p", "seed", "1.5"], "error: 04_tiny: parameter seed: found 1.5 (float, from the command line); expected int"),
    (["run", "04", "05"], "error: 05_other: parameter rate: found 'fast' (str, from quick.yaml); expected float"),
    (["run", "all"], "error: 05_other: parameter rate: found 'fast'"),
    (["run", "06"], "error: notebook: found '06'; expected one of 04, 05"),
    (["run", "04", "--profile", "stduy"], "error: profile: found 'stduy'; expected one of quick"),
    (["report"], "error: profile quick: found no results"),
])
def test_everything_is_checked_before_anything_runs(tiny, arguments, message):
    tiny.notebook("print(1)", name="05_other")
    tiny.profile("quick", '"04": {}\n"05": {rate: fast}\n')
    answer = tiny.lib(*arguments)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert answer.stdout == ""
    assert not (tiny.root / "build").exists()


@pytest.mark.slow
def test_a_number_in_a_profile_may_be_written_1e_3(tiny):
    tiny.notebook(SETUP, "print(settings.rate)")
    tiny.profile("quick", '"04": {rate: 1e-3}\n')
    assert ran(tiny)
    assert nbformat.read(built(tiny), 4).cells[-1].outputs[0].text == "0.001\n"


@pytest.mark.slow
def test_what_changes_the_result_makes_it_run_again_and_nothing_else(tiny):
    table = tiny.root / "data" / "results" / "quick" / "04_result.csv"
    module = tiny.root / "lib" / "sums.py"
    assert ran(tiny)
    first = table.read_bytes()

    module.write_text('"""Only a docstring."""\n\nTWO = 2  # and a comment\n')
    (tiny.root / "lib" / "unrelated.py").write_text("x = 1\n")
    assert not ran(tiny)

    module.write_text("TWO = 4\n")
    assert ran(tiny)
    assert result(tiny) == "x\n1.33333\n"
    module.write_text("TWO = 2\n")
    assert ran(tiny)
    assert table.read_bytes() == first

    table.write_text("x\n0.7\n")
    assert ran(tiny)
    table.unlink()
    assert ran(tiny)
    assert table.read_bytes() == first
    assert ran(tiny, "--force")
    assert not ran(tiny)


@pytest.mark.slow
def test_other_values_leave_what_the_profile_made_up_to_date(tiny):
    assert ran(tiny)
    answer = tiny.lib("run", "04", "-p", "seed", "1")
    assert "04_tiny (quick with another seed): done in" in answer.stdout
    assert (tiny.root / "build" / "custom" / "quick" / "results" / "04_result.csv").read_text() == "x\n1.33333\n"
    assert (tiny.root / "build" / "custom" / "quick" / "04_tiny.ipynb").is_file()
    assert result(tiny) == "x\n0.666667\n"
    assert not ran(tiny)
    assert not ran(tiny, "-p", "seed", "1")
    assert not ran(tiny, "-p", "seed", "0")


@pytest.mark.slow
def test_nbval_writes_the_bytes_of_the_runner_and_nothing_after_a_failure(tiny):
    """With the kernel of nbval, which is started in another way and goes on after a cell that failed."""

    def nbval():
        path = str(tiny.root / "notebooks" / "04_tiny.ipynb")
        return tiny.python("-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-rA", path)

    def committed():
        files = [*(tiny.root / "data").rglob("*.*"), *(tiny.root / "figures").rglob("*.*")]
        return {file: (file.read_bytes(), file.stat().st_ino) for file in files}

    drawn = "import matplotlib.pyplot as plt\nrun.figure('line', plt.figure(), None)\nplt.plot([1, 2])"
    tiny.notebook(SETUP, drawn, RESULT)
    assert ran(tiny)
    before = committed()
    answer = nbval()
    assert answer.returncode == 0, answer.stdout
    after = committed()
    assert {file: content for file, (content, _) in after.items()} == {file: content for file, (content, _) in before.items()}
    assert all(after[file][1] != before[file][1] for file in before)  # all were written anew
    assert not ran(tiny)

    tiny.notebook(SETUP, "1 / 0", RESULT)
    answer = nbval()
    assert answer.returncode == 1
    assert "found a cell that failed; expected none" in answer.stdout
    assert committed() == after


@pytest.mark.slow
def test_outputs_are_stored_without_what_changes_from_run_to_run(tiny):
    path = tiny.root / "notebooks" / "04_tiny.ipynb"
    sources = [cell["source"] for cell in notebooks.read(path)["cells"]]
    answer = tiny.lib("notebooks")
    assert answer.returncode == 0, answer.stderr
    first = path.read_bytes()
    stored = nbformat.read(path, 4)
    nbformat.validate(stored)
    assert [cell.source for cell in stored.cells] == sources
    assert [cell.metadata for cell in stored.cells] == [{}, {"tags": ["parameters"]}, {}, {}]
    assert [cell.execution_count for cell in stored.cells[1:]] == [1, 2, 3]
    assert stored.cells[-1].outputs[0].text.startswith("04_tiny, profile quick, content key ")
    assert stored.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}
    }  # fmt: skip
    assert not ran(tiny)  # stored outputs are not part of what a notebook is
    assert ran(tiny, "--force")
    assert "up to date" in tiny.lib("notebooks").stdout
    assert path.read_bytes() == first


@pytest.mark.slow
def test_plain_papermill_refuses_a_wrong_parameter_in_the_first_cell(tiny):
    tiny.notebook(SETUP, "raise SystemExit('got past the setup')")
    source = str(tiny.root / "notebooks" / "04_tiny.ipynb")
    answer = tiny.python("-m", "papermill", source, "out.ipynb", "-k", "python3", "-l", "python", "-p", "sede", "1")
    assert answer.returncode != 0
    assert "parameter sede: unknown (from the notebook); nearest: seed" in answer.stderr
    assert "got past" not in answer.stderr


def test_plan_shows_what_differs_and_runs_nothing(tiny):
    tiny.profile("study", 'minutes: {"04": 90}\n"04": {rate: 0.5}\n')
    answer = tiny.lib("plan", "--profile", "study", "-p", "seed", "3")
    assert answer.stdout.splitlines() == [
        "04_tiny (study with another seed): to run; about 90 minutes",
        "    seed: int = 3  (default 0)  of everything",
        "    rate: float = 0.5  (default 0.1)",
        "    profile: str = 'study'  (default 'quick')  set by the runner",
    ]
    assert not (tiny.root / "build").exists()


def test_a_cell_that_is_not_python_is_named(tiny):
    tiny.notebook(SETUP, "%matplotlib inline\n!ls\nx = (1")
    answer = tiny.lib("plan")
    assert answer.returncode == 1
    assert "04_tiny.ipynb, cell 4, line 3: '(' was never closed" in answer.stderr


def test_a_broken_file_is_named(tiny):
    (tiny.root / "notebooks" / "04_tiny.ipynb").write_text("{}")
    answer = tiny.lib("plan")
    assert answer.returncode == 1
    assert "04_tiny.ipynb: found no notebook" in answer.stderr


def test_prose_is_part_of_the_executed_notebook_but_not_of_the_results(tiny):
    path = tiny.root / "notebooks" / "04_tiny.ipynb"
    before = notebooks.content_key(path, {})
    content = json.loads(path.read_text())
    content["cells"][0]["source"] = ["# Another title"]
    path.write_text(json.dumps(content))
    assert notebooks.content_key(path, {}) == before
    assert notebooks.title(path) == "Another title"


def test_outputs_of_other_cells_are_refused(project):
    path = project.notebook("x = 1")
    other = project.notebook("x = 2", name="05_other")
    with pytest.raises(ValueError, match=r"its cells are not those of 04_tiny\.ipynb"):
        notebooks.store_outputs(path, other)
