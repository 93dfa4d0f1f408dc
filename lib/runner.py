"""Runs notebooks from the outside: with checked parameters, only when something changed, and never leaving a failure that looks finished.

A notebook runs in build/<profile>/<name>.partial.ipynb (build/custom/<profile> where the values are not those of the profile), which
becomes <name>.ipynb when its last cell has succeeded. A stamp beside it holds the content key of what went in and the hash of every file
that came out; while both still agree there is nothing to do.
"""

import json
import logging
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from filelock import FileLock

from lib import notebooks, provenance
from lib.fingerprint import file_sha256, values_sha256
from lib.paths import NOTEBOOKS, ROOT, atomically
from lib.profiles import Settings, declared, read_profile, resolve

_SOURCE_LINES, _TRACEBACK_LINES = 12, 25


class NotebookFailed(RuntimeError):
    """A cell of a notebook raised an error, or its kernel died."""


def chosen(numbers: list[str], profile: str) -> list[Path]:
    """The notebooks named, in order; "all" stands for those of the profile.

    Raises:
        ValueError: if one does not exist.
    """
    if numbers == ["all"]:
        numbers = sorted(read_profile(profile).overrides)
    return [notebooks.find(number) for number in numbers]


def run(numbers: list[str], profile: str, given: dict[str, str], *, force: bool = False) -> None:
    """Run notebooks one after the other, each in a kernel of its own, unless they are up to date.

    Args:
        numbers: "04" and so on, or "all".
        profile: name of the profile.
        given: parameter -> text from the command line, for every notebook.
        force: run even what is up to date.

    Raises:
        ValueError: before anything runs, if a notebook or a parameter is not as it must be.
        NotebookFailed: if a cell failed; the message shows which.
    """
    planned = [(path, resolve(path, profile, given)) for path in chosen(numbers, profile)]
    for path, settings in planned:
        place = provenance.place(path, settings)
        target, name = place.executed, f"{path.stem} ({place.label})"
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            key = _key(path, settings)
            if not force and _up_to_date(target, key):
                print(f"{name}: up to date")
                continue
            print(f"{name}: running", flush=True)
            start = time.perf_counter()
            for finished in (_stamp_of(target), target):
                finished.unlink(missing_ok=True)
            _execute(path, settings, target)
            _write_stamp(path, settings, target, key)
            print(f"{name}: done in {time.perf_counter() - start:.0f} s", flush=True)


def plan(numbers: list[str], profile: str, given: dict[str, str]) -> str:
    """What would run, with which parameters and at what cost, as text. Nothing runs.

    Raises:
        ValueError: as `run`.
    """
    minutes = read_profile(profile).minutes
    lines = []
    for path in chosen(numbers, profile):
        settings = resolve(path, profile, given)
        place = provenance.place(path, settings)
        state = "up to date" if _up_to_date(place.executed, _key(path, settings)) else "to run"
        estimate = f"about {minutes[path.stem[:2]]:g} minutes" if path.stem[:2] in minutes else "cost not stated"
        seconds = provenance.last_seconds(path, settings)
        measured = "" if seconds is None else f", {seconds:.0f} s when last run here"
        lines.append(f"{path.stem} ({place.label}): {state}; {estimate}{measured}")
        for parameter in declared(path):
            value = getattr(settings, parameter.name)
            changed = "" if value == parameter.default else f"  (default {parameter.default!r})"
            lines.append(f"    {parameter.name}: {parameter.type} = {value!r}{changed}  {parameter.help}".rstrip())
    return "\n".join(lines)


def refresh(profile: str = "quick") -> None:
    """Run what is out of date, and write the outputs back into the notebooks that git holds.

    Raises:
        ValueError, NotebookFailed: as `run`.
    """
    run(["all"], profile, {})
    for path in chosen(["all"], profile):
        notebooks.store_outputs(path, provenance.place(path, resolve(path, profile)).executed)
        print(f"{path.relative_to(ROOT)}: outputs stored")


def _stamp_of(target: Path) -> Path:
    return target.with_suffix(".stamp.json")


def _key(path: Path, settings: Settings) -> str:
    """The content key of the results, extended by the prose, which the executed notebook holds too."""
    prose = [cell["source"] for cell in notebooks.read(path)["cells"] if cell["cell_type"] == "markdown"]
    return values_sha256([notebooks.content_key(path, settings.model_dump()), prose])


def _up_to_date(target: Path, key: str) -> bool:
    try:
        stamp = json.loads(_stamp_of(target).read_text(encoding="utf-8"))
        files = stamp["files"].items()
        return stamp["key"] == key and all(file_sha256(ROOT / name) == digest for name, digest in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _write_stamp(path: Path, settings: Settings, target: Path, key: str) -> None:
    names = [target.relative_to(ROOT).as_posix(), *provenance.files(path, settings)]
    stamp = {"key": key, "files": {name: file_sha256(ROOT / name) for name in names}}
    with atomically(_stamp_of(target)) as temporary:
        temporary.write_text(json.dumps(stamp, indent=1), encoding="utf-8", newline="\n")


def _execute(path: Path, settings: Settings, target: Path) -> None:
    import papermill  # takes seconds, and is not needed to find that there is nothing to do
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # For the kernel, which inherits the environment. Progress bars would end up in the stored outputs.
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel `python3` is this environment's, whatever else the user has installed
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"

    # It reads parameters with a pattern that an equals sign inside a text defeats, and warns; ours were checked before.
    logging.getLogger("papermill").setLevel(logging.ERROR)

    partial = target.with_suffix(".partial.ipynb")
    try:
        with tempfile.TemporaryDirectory() as folder:
            papermill.execute_notebook(
                path,
                partial,
                parameters=settings.model_dump(),
                kernel_name="python3",
                language="python",
                cwd=NOTEBOOKS,
                progress_bar=sys.stdout.isatty(),
                start_timeout=300,
                config=Config(KernelManager=_transport(folder)),
            )
    except PapermillExecutionError as error:
        traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).splitlines()[-_TRACEBACK_LINES:]
        raise NotebookFailed(_report(path, partial, "\n".join(traceback))) from None
    except DeadKernelError as error:
        cause = f"{error}: the process that ran the cells ended by itself (killed for want of memory?)"
        raise NotebookFailed(_report(path, partial, cause)) from None
    partial.replace(target)


def _transport(folder: str) -> dict[str, str]:
    """How to talk to a kernel.

    Two kernels that start at once may choose the same network port, and then one of them dies. So where the system has sockets that are
    files, they are taken, in a folder of this kernel alone. Elsewhere every kernel on a port warns without this setting.
    """
    return {"transport": "ipc", "ip": f"{folder}/kernel"} if os.name == "posix" else {"transport_encryption": "auto"}


def _report(path: Path, partial: Path, error: str) -> str:
    """The failing cell, counted in the notebook as it stands in notebooks/, with the head of its source and the error."""
    added = {"injected-parameters", "papermill-error-cell-tag"}
    cells = [cell for cell in notebooks.read(partial)["cells"] if not added & set(cell["metadata"].get("tags", []))]
    # A cell whose kernel died is not marked as failed, but nothing was started after it.
    started = [number for number, cell in enumerate(cells, start=1) if cell["metadata"].get("papermill", {}).get("start_time")]
    lines = [f"{path.relative_to(ROOT)} failed; what ran of it is kept in {partial.relative_to(ROOT)}"]
    if started:
        source = cells[started[-1] - 1]["source"].splitlines()
        lines.append(f"cell {started[-1]} of {len(cells)}:")
        lines += [f"    {line}" for line in source[:_SOURCE_LINES]] + (["    ..."] if len(source) > _SOURCE_LINES else [])
    return "\n".join([*lines, error])
