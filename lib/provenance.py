"""Results with their origin: every table and figure of a notebook is written here, and at the end a record of what made them.

Two records are kept apart. What is the same in every run on the same inputs (hashes of inputs, settings, code and results) stands beside
the results and is committed; what changes from run to run (time, machine, commit, versions, seconds) goes to build/provenance.
"""

import datetime
import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lib import notebooks
from lib.fingerprint import file_sha256
from lib.paths import ROOT, atomically

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

    from lib.profiles import Settings

PACKAGES = (
    "captum", "faiss-cpu", "matplotlib", "numpy", "open-clip-torch", "pandas", "papermill", "scikit-image", "scikit-learn", "scipy", "timm",
    "torch", "torchmetrics", "torchvision",
)  # fmt: skip


class Run:
    """One run of a notebook: takes its tables and figures, writes them, and records them.

    Args:
        notebook: the name, e.g. "04_machine_interpretability_score".
        settings: what `profiles.from_namespace` returned.
        root: the folder that notebooks/, data/, figures/ and build/ are in.
    """

    def __init__(self, notebook: str, settings: "Settings", *, root: Path = ROOT):
        path = notebooks.find(notebook, root / "notebooks")
        self.notebook, self.profile, self.settings = path.stem, settings.profile, settings.model_dump()
        self.content_key = notebooks.content_key(path, self.settings)
        self._root = root
        self._start = time.perf_counter()
        self._inputs: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def reported(self, name: str) -> "pd.DataFrame":
        """Read data/reported/<name>.csv, numbers that a paper reports, and record it: when it changes, the notebook runs again."""
        import pandas as pd

        path = self._root / "data" / "reported" / f"{name}.csv"
        self._record(self._inputs, path)
        return pd.read_csv(path)

    def table(self, name: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Write data/results/<profile>/<number>_<name>.csv, with 6 significant digits, and give the table back.

        An index is written only if it says something, that is, if it is not a plain count of the rows.
        """
        from lib.tables import write_csv

        path = self._root / "data" / "results" / self.profile / f"{self._full(name)}.csv"
        write_csv(path, table)
        self._record(self._files, path)
        return table

    def figure(self, name: str, figure: "matplotlib.figure.Figure", data: "pd.DataFrame | None" = None) -> None:
        """Write figures/<profile>/<number>_<name>.png and .svg, and the data behind it as .csv."""
        from lib import figures

        origin = {"Notebook": self.notebook, "Profile": self.profile, "Content key": self.content_key}
        folder = self._root / "figures"
        for path in figures.save(figure, self._full(name), profile=self.profile, data=data, provenance=origin, folder=folder):
            self._record(self._files, path)

    def finish(self) -> str:
        """Write both records. Returns one line for the reader that is the same in every run."""
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
        _write_json(_stable_record(self.notebook, self.profile, self._root), stable)
        _write_json(_volatile_record(self.notebook, self.profile, self._root), volatile)
        tables = sum(name.startswith("data/") for name in self._files)
        pictures = sum(name.endswith(".png") for name in self._files)
        return f"{self.notebook}, profile {self.profile}, content key {self.content_key[:12]}: {tables} tables, {pictures} figures"

    def _full(self, name: str) -> str:
        """The name with the notebook's number in front, so that two notebooks never write the same file."""
        number = self.notebook[:2]
        return name if name.startswith(f"{number}_") else f"{number}_{name}"

    def _record(self, where: dict[str, str], path: Path) -> None:
        where[path.relative_to(self._root).as_posix()] = file_sha256(path)


def files(notebook: Path, settings: "Settings", root: Path = ROOT) -> list[str]:
    """Files that the last run with these settings read and wrote, and its record, relative to the root; empty if it left no record."""
    record = _stable_record(notebook.stem, settings.profile, root)
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if content["content_key"] != notebooks.content_key(notebook, settings.model_dump()):
        return []
    return [*content["inputs"], *content["files"], record.relative_to(root).as_posix()]


def last_seconds(notebook: str, profile: str, root: Path = ROOT) -> float | None:
    """How long the last run on this machine took; None if there was none."""
    try:
        return json.loads(_volatile_record(notebook, profile, root).read_text(encoding="utf-8"))["seconds"]
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


def _stable_record(notebook: str, profile: str, root: Path) -> Path:
    return root / "data" / "results" / profile / f"{notebook}.provenance.json"


def _volatile_record(notebook: str, profile: str, root: Path) -> Path:
    return root / "build" / "provenance" / profile / f"{notebook}.json"


def _write_json(path: Path, content: dict) -> None:
    with atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
