"""Results with their origin: every table and figure of a notebook is written here, and at the end a record of what made them.

Two records are kept apart. What is the same in every run on the same inputs (hashes of inputs, settings, code and results) stands beside
the results and is committed; what changes from run to run (time, machine, commit, versions, seconds) goes to build/provenance.

Nothing that is there is touched before `Run.finish`, so a run that fails leaves the results of the one before. And only a run with exactly
the values of its profile writes to data/results and figures: every other one writes to build/custom.
"""

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lib import notebooks
from lib.fingerprint import file_sha256
from lib.paths import ROOT, atomically
from lib.profiles import Settings, resolve

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

PACKAGES = (
    "captum", "faiss-cpu", "matplotlib", "numpy", "open-clip-torch", "pandas", "papermill", "scikit-image", "scikit-learn", "scipy", "timm",
    "torch", "torchmetrics", "torchvision",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a run leaves what it makes."""

    label: str      # the profile, and whether it was run with other values
    executed: Path  # the executed notebook
    results: Path   # folder of the tables
    figures: Path   # folder of the figures
    record: Path    # what is the same in every run
    machine: Path   # what is not


def place(notebook: Path, settings: Settings, root: Path = ROOT) -> Place:
    """Where a run with these settings leaves what it makes: in build/custom if they are not those of their profile.

    Raises:
        ParameterError: if the notebook is not in the profile.
    """
    profile = settings.profile
    standard = resolve(notebook, profile).model_dump()
    other = [name for name, value in settings.model_dump().items() if value != standard[name]]
    build, stem = root / "build", notebook.stem
    if other:
        label, executed = f"{profile} with another {', '.join(other)}", build / "custom" / profile
        results, figures, machine = executed / "results", executed / "figures", executed / "provenance"
    else:
        label, executed = profile, build / profile
        results, figures, machine = root / "data" / "results" / profile, root / "figures" / profile, build / "provenance" / profile
    return Place(label, executed / notebook.name, results, figures, results / f"{stem}.provenance.json", machine / f"{stem}.json")


class Run:
    """One run of a notebook: takes its tables and figures, and at the end puts them in place, with a record of them.

    Args:
        notebook: the name, e.g. "04_machine_interpretability_score".
        settings: what `profiles.from_namespace` returned.
        root: the folder that notebooks/, data/, figures/ and build/ are in.

    Raises:
        ValueError: if there is no such notebook, or if it is not in the profile.
    """

    def __init__(self, notebook: str, settings: Settings, *, root: Path = ROOT):
        path = notebooks.find(notebook, root / "notebooks")
        self.notebook, self.profile, self.settings = path.stem, settings.profile, settings.model_dump()
        self.content_key = notebooks.content_key(path, self.settings)
        self._root, self._place = root, place(path, settings, root)
        if self._place.label != self.profile:
            print(f"profile {self._place.label}: results go to {self._place.results.parent.relative_to(root)}")
        staging = root / "build" / "staging" / self.profile / self.notebook
        staging.mkdir(parents=True, exist_ok=True)
        self._staging = Path(tempfile.mkdtemp(dir=staging))  # of this run alone: another one may be under way
        weakref.finalize(self, shutil.rmtree, self._staging, ignore_errors=True)
        self._error_before = _last_error()
        self._start = time.perf_counter()
        self._inputs: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def reported(self, name: str) -> "pd.DataFrame":
        """Read data/reported/<name>.csv, numbers that a paper reports, and record it: when it changes, the notebook runs again."""
        import pandas as pd

        path = self._root / "data" / "reported" / f"{name}.csv"
        self._inputs[path.relative_to(self._root).as_posix()] = file_sha256(path)
        return pd.read_csv(path)

    def table(self, name: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Make data/results/<profile>/<number>_<name>.csv, with 6 significant digits, and give the table back.

        An index is written only if it says something, that is, if it is not a plain count of the rows.
        """
        from lib.tables import write_csv

        path = self._staged(self._place.results) / f"{self._full(name)}.csv"
        write_csv(path, table)
        self._record(path)
        return table

    def figure(self, name: str, figure: "matplotlib.figure.Figure", data: "pd.DataFrame | None" = None) -> None:
        """Make figures/<profile>/<number>_<name>.png and .svg, and the data behind it as .csv."""
        from lib import figures

        origin = {"Notebook": self.notebook, "Profile": self._place.label, "Content key": self.content_key}
        folder = self._staged(self._place.figures)
        for path in figures.save(figure, self._full(name), profile=folder.name, data=data, provenance=origin, folder=folder.parent):
            self._record(path)

    def finish(self) -> str:
        """Put all tables and figures in place of those of the run before, then write both records.

        Returns:
            One line for the reader that is the same in every run.

        Raises:
            RuntimeError: if a cell has failed since this run began, as JupyterLab and nbval go on after it.
        """
        if _last_error() is not self._error_before:
            raise RuntimeError(f"{self.notebook}: found a cell that failed; expected none; nothing saved: restart and run all cells")
        stable = {
            "notebook": self.notebook,
            "profile": self.profile,
            "content_key": self.content_key,
            "settings": self.settings,
            "inputs": dict(sorted(self._inputs.items())),
            "files": dict(sorted(self._files.items())),
        }
        volatile = {
            "content_key": self.content_key,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._start, 1),
            "host": platform.node(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            **commit(self._root),
        }
        place, files = self._place, {self._root / name for name in self._files}
        place.record.unlink(missing_ok=True)  # the old record never stands beside new results
        for staged in sorted(self._staging.rglob("*.*")):
            with atomically(self._root / staged.relative_to(self._staging)) as temporary:
                shutil.move(staged, temporary)
        for folder in (place.results, place.figures):
            for stale in set(folder.glob(f"{self.notebook[:2]}_*")) - files:
                stale.unlink()
        _write_json(place.record, stable)
        _write_json(place.machine, volatile)
        tables = sum(path.parent == place.results for path in files)
        pictures = sum(path.suffix == ".png" for path in files)
        return f"{self.notebook}, profile {place.label}, content key {self.content_key[:12]}: {tables} tables, {pictures} figures"

    def _full(self, name: str) -> str:
        """The name with the notebook's number in front, so that two notebooks never write the same file."""
        number = self.notebook[:2]
        return name if name.startswith(f"{number}_") else f"{number}_{name}"

    def _staged(self, folder: Path) -> Path:
        return self._staging / folder.relative_to(self._root)

    def _record(self, staged: Path) -> None:
        self._files[staged.relative_to(self._staging).as_posix()] = file_sha256(staged)


def files(notebook: Path, settings: Settings, root: Path = ROOT) -> list[str]:
    """Files that the last run with these settings read and wrote, and its record, relative to the root; empty if it left no record."""
    record = place(notebook, settings, root).record
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if content["content_key"] != notebooks.content_key(notebook, settings.model_dump()):
        return []
    return [*content["inputs"], *content["files"], record.relative_to(root).as_posix()]


def last_seconds(notebook: Path, settings: Settings, root: Path = ROOT) -> float | None:
    """How long the last run on this machine took; None if there was none."""
    try:
        return json.loads(place(notebook, settings, root).machine.read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError):
        return None


def commit(folder: Path) -> dict[str, object]:
    """The commit that is checked out in a folder and whether files differ from it; "unknown" outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": "unknown"}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _last_error() -> BaseException | None:
    """The last error that ended a cell: Python and IPython keep it here."""
    return getattr(sys, "last_value", None)


def _write_json(path: Path, content: dict) -> None:
    with atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
