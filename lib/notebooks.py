"""The notebooks as files: found by number, read, named by content, and given back their outputs.

Nothing here imports Jupyter: asking whether there is anything to do must take a fraction of a second.
"""

import json
import re
from pathlib import Path

from lib.fingerprint import source_sha256, values_sha256
from lib.paths import NOTEBOOKS, atomically


def find(number: str, folder: Path = NOTEBOOKS) -> Path:
    """The notebook with a number or name: "04", "4" or "04_machine_interpretability_score".

    Raises:
        ValueError: if there is none.
    """
    available = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    for stem, path in available.items():
        if number == stem or (number.isdigit() and number.zfill(2) == stem[:2]):
            return path
    known = ", ".join(stem[:2] for stem in available) or f"those in {folder}, which has none"
    raise ValueError(f"notebook: found {number!r}; expected one of {known}")


def read(path: Path) -> dict:
    """The notebook's JSON, with the source of every cell as one text.

    Raises:
        ValueError: if the file is not a notebook.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: found no notebook ({error!r}); expected a Jupyter notebook of format 4") from None
    return notebook


def title(path: Path) -> str:
    """The first heading, or the file's name where there is none."""
    text = "\n".join(cell["source"] for cell in read(path)["cells"] if cell["cell_type"] == "markdown")
    heading = re.search(r"^# +(.+)$", text, flags=re.MULTILINE)
    return heading[1].strip() if heading else path.stem


def python_source(path: Path) -> str:
    """All code cells as one text, without IPython's magic lines.

    Raises:
        ValueError: if a cell is not Python.
    """
    sources = []
    for number, cell in enumerate(read(path)["cells"], start=1):
        if cell["cell_type"] != "code" or cell["source"].startswith("%%"):
            continue
        source = re.sub(r"^\s*[%!].*$", "", cell["source"], flags=re.MULTILINE)
        try:
            compile(source, f"{path.name}, cell {number}", "exec", dont_inherit=True)
        except SyntaxError as error:
            raise ValueError(f"{path.name}, cell {number}, line {error.lineno}: {error.msg}") from None
        sources.append(source)
    return "\n".join(sources)


def content_key(path: Path, settings: dict) -> str:
    """Hash of what determines the results of a notebook: its code cells, its settings, and the `lib` code that it imports."""
    source = python_source(path)
    return values_sha256({"notebook": path.stem, "source": source, "settings": settings, "code": source_sha256(source)}, path.stem)


def store_outputs(path: Path, executed: Path) -> None:
    """Write the outputs of an executed copy into the notebook, without anything that changes from run to run or belongs to one machine.

    Warnings (the error stream) name paths and versions of the machine; they stay in the executed copy.

    Raises:
        ValueError: if the copy was made from other cells.
    """
    notebook, copy = read(path), read(executed)
    ours = [cell for cell in copy["cells"] if "injected-parameters" not in cell["metadata"].get("tags", [])]
    if [cell["source"] for cell in ours] != [cell["source"] for cell in notebook["cells"]]:
        raise ValueError(f"{executed}: its cells are not those of {path.name}; expected a copy made from it (run it again)")
    count = 0
    for cell, other in zip(notebook["cells"], ours, strict=True):
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = [_stable(output, count) for output in other["outputs"] if output.get("name") != "stderr"]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    with atomically(path) as temporary:
        temporary.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _stable(output: dict, count: int) -> dict:
    stable = {name: value for name, value in output.items() if name != "transient"}
    if "execution_count" in stable:
        stable["execution_count"] = count
    return stable
