"""Fixtures for all tests: the real data where it is at hand, and a throw-away copy of the project to run notebooks in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lib import paths

PARAMETERS = 'seed: int = 0  # of everything\nrate: float = 0.1\nprofile: str = "quick"  # set by the runner'


class Project:
    """A copy of `lib` in a folder of its own, with notebooks made for a test."""

    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(paths.ROOT / "lib", root / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        self.profile("quick", '"04": {}\n')

    def profile(self, name: str, text: str) -> None:
        """Write a profile."""
        file = self.root / "notebooks" / "profiles" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def notebook(self, *cells: str, name: str = "04_tiny", parameters: str = PARAMETERS) -> Path:
        """Write a notebook: a title, the parameters cell, and these code cells."""
        head = [
            nbformat.v4.new_markdown_cell("# A tiny notebook", id="title"),
            nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
        ]
        rest = [nbformat.v4.new_code_cell(source, id=f"cell-{index}") for index, source in enumerate(cells)]
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=head + rest), path)
        return path

    def python(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
        """Run Python with this copy of `lib`."""
        environment = os.environ | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=folder or self.root, env=environment, capture_output=True, text=True, timeout=300, check=False)

    def lib(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
        """Run `python -m lib`."""
        return self.python("-m", "lib", *arguments, folder=folder)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run the Makefile here. What a make that runs these tests has been told is not passed on."""
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            if not (self.root / name).exists():
                shutil.copy(paths.ROOT / name, self.root)
        of_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PROFILE", "VENV", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if name not in of_make} | {"PYTHONPATH": str(self.root)}
        command = ["make", *arguments]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A throw-away copy of the project."""
    return Project(tmp_path)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real pictures and weights; a test that asks for it is skipped where there is none."""
    folder = paths.mirror()
    if folder is None:
        pytest.skip("DATA_MIRROR is not set: no real pictures and weights")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for the mirror is a test on real data."""
    for item in items:
        if "mirror" in getattr(item, "fixturenames", ()):
            item.add_marker("realdata")


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how many tests on real data ran, so that nobody takes a run without them for a full one."""
    ran = {report.nodeid for outcome in ("passed", "failed") for report in _on_real_data(terminalreporter, outcome)}
    skipped = {report.nodeid for report in _on_real_data(terminalreporter, "skipped")}
    folder = os.environ.get("DATA_MIRROR") or "not set"
    terminalreporter.write_line(f"real-data tests: {len(ran)} ran, {len(skipped)} skipped (DATA_MIRROR: {folder})")


def _on_real_data(terminalreporter, outcome: str) -> list:
    return [report for report in terminalreporter.stats.get(outcome, []) if "realdata" in getattr(report, "keywords", {})]
