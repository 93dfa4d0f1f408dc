"""The committed notebooks: clean, complete, and with stored outputs that nbval really compares."""

import ast
import json
import shlex
import shutil
import sys

import nbformat
import pytest

from lib import notebooks, paths, profiles

COMMITTED = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
MARK = "# NBVAL_CHECK_OUTPUT"
CLAIMS = f"""{MARK}
import datetime
print("claim: the sky is blue, verdict: holds")
print("measured on", datetime.datetime.now())"""


@pytest.fixture(scope="module", params=COMMITTED, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def notebook(path):
    return nbformat.read(path, 4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_notebook_is_valid_and_for_the_kernel_of_any_environment(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}
    }  # fmt: skip


def test_every_cell_has_run_in_order_and_none_failed(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert not [cell.source for cell in code(notebook) for output in cell.outputs if output.output_type == "error"]


def test_nothing_is_stored_that_changes_from_run_to_run(path, notebook):
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert "injected-parameters" not in path.read_text(encoding="utf-8")
    printed = json.dumps([cell.outputs for cell in code(notebook)])
    assert str(paths.ROOT) not in printed
    assert sys.prefix not in printed


def test_claims_are_marked_and_stored_as_text(notebook):
    marked = [cell for cell in code(notebook) if MARK in cell.source]
    assert marked, f"no cell is marked {MARK}"
    for cell in marked:
        stored = "".join(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
        assert cell.execution_count is not None
        assert stored.strip()
    assert any(word in json.dumps([cell.outputs for cell in marked]) for word in ("holds", "fails", "inconclusive", "not testable here"))


def test_quick_is_what_the_parameters_cell_says(path):
    """nbval and a reader in JupyterLab run the values of the cell; the quick profile must not mean others."""
    assert profiles.read_profile("quick").overrides[path.stem[:2]] == {}
    assert profiles.resolve(path, "quick").profile == "quick"


def test_parameters_are_right_in_every_profile(path):
    for file in (paths.NOTEBOOKS / "profiles").glob("*.yaml"):
        if path.stem[:2] in profiles.read_profile(file.stem).overrides:
            assert profiles.resolve(path, file.stem).profile == file.stem


def test_code_lives_in_lib(path):
    """A notebook tells and draws; a function of more than a few lines belongs in the package."""
    long = [
        node.name
        for node in ast.walk(ast.parse(notebooks.python_source(path)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.end_lineno - node.lineno > 5
    ]
    assert not long


@pytest.mark.slow
def test_nbval_passes_what_is_stored_and_fails_on_one_changed_verdict(project):
    """With the very command of `make test`."""
    shutil.copy(paths.NOTEBOOKS / "sanitize.cfg", project.root / "notebooks")
    path = project.notebook(CLAIMS)
    assert project.lib("notebooks").returncode == 0
    planned = project.make("-n", "test").stdout.splitlines()
    (command,) = (shlex.split(line) for line in planned if "--nbval-lax" in line)

    def nbval():
        return project.python(*command[1:], "-p", "no:cacheprovider")

    answer = nbval()
    assert answer.returncode == 0, answer.stdout
    assert "2 passed" in answer.stdout
    stored = path.read_text(encoding="utf-8")
    changed = stored.replace("verdict: holds\\n", "verdict: fails\\n")  # in the output; in the source a quotation mark comes first
    assert changed != stored
    assert nbformat.reads(changed, 4).cells[-1].source == CLAIMS
    path.write_text(changed, encoding="utf-8")
    answer = nbval()
    assert answer.returncode == 1
    assert "1 failed, 1 passed" in answer.stdout
