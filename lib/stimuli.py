"""Two-alternative tasks as the human study (IMI) stored them: folders of pictures, two queries and nine references on each side.

Three layouts are in use in github.com/brendel-group/imi and in the study's data:

| layout | queries | references |
|---|---|---|
| `queries/` and `references/` | `queries/max.png`, `queries/min.png` | `references/max_0..8`, `references/min_0..8` |
| the same, old numbering | the same | `max_0..8`, `min_1..9` (`min_0` was the query) |
| flat | `max_9`, `min_9`; old numbering: `max_9`, `min_0` | `max_0..8`, `min_0..8`; old numbering: `max_0..8`, `min_1..9` |

`max` are pictures that excite the unit, so the right answer is always that `max` belongs to the `max` references. A folder whose
references are optimised pictures may lack queries; they are those of another folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib import similarity
from lib.datasets.pictures import Pictures
from lib.fingerprint import file_sha256

REFERENCES = 9


@dataclass(frozen=True)
class Task:
    """One task: pictures that excite a unit (positive) and pictures that do not (negative)."""

    name: str
    positive_query: np.ndarray                  # (height, width, 3) uint8
    negative_query: np.ndarray
    positive_references: tuple[np.ndarray, ...]
    negative_references: tuple[np.ndarray, ...]
    identity: dict                              # hashes of the files, in the order of `pictures`

    def pictures(self) -> Pictures:
        """All pictures of the task: positive query, negative query, positive references, negative references."""
        shown = [self.positive_query, self.negative_query, *self.positive_references, *self.negative_references]
        return Pictures(self.name, lambda indices: [shown[index] for index in indices], len(shown), None, (), None, self.identity)


def load_task(folder: Path | str, *, queries: Path | str | None = None, old_numbering: bool = False) -> Task:
    """Read one task.

    Args:
        folder: holds the pictures in one of the layouts above. With `queries/`, files that are left over (optimised references are
            numbered 0 to 9) are not read.
        queries: another folder that the queries come from, of any layout.
        old_numbering: a flat folder with 0 to 9 on both sides does not show which is the negative query; True says min_0.

    Raises:
        FileNotFoundError: if there is no such folder, or files are missing.
        ValueError: if a file is not a picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: found no folder {folder}; expected one with a task's pictures")
    references = folder / "references" if (folder / "references").is_dir() else folder
    old = old_numbering if references == folder else not (references / "min_0.png").exists()
    files = [
        *_queries(folder if queries is None else Path(queries), old_numbering),
        *(references / f"max_{index}.png" for index in range(REFERENCES)),
        *(references / f"min_{index + old}.png" for index in range(REFERENCES)),
    ]
    missing = [str(file.relative_to(folder) if file.is_relative_to(folder) else file) for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: found no {', '.join(missing)}; expected two queries and {REFERENCES} references on each side")
    shown = [_read(file) for file in files]
    return Task(str(folder), shown[0], shown[1], tuple(shown[2 : 2 + REFERENCES]), tuple(shown[2 + REFERENCES :]),
                {"dataset": "task", "files": [file_sha256(file) for file in files]})


def load_tasks(root: Path | str, *, old_numbering: bool = False) -> list[Task]:
    """Read every task below a folder, in the order of their names.

    Folders named `optimized_images` show optimised references with the queries of their neighbour `natural_images`.

    Raises:
        FileNotFoundError: if there is no task below the folder.
    """
    folders = sorted({file.parent.parent if file.parent.name == "references" else file.parent for file in Path(root).rglob("max_0.png")})
    if not folders:
        raise FileNotFoundError(f"root: found no max_0.png below {root}; expected folders with tasks")
    return [
        load_task(
            folder, queries=folder.with_name("natural_images") if folder.name == "optimized_images" else None, old_numbering=old_numbering)
        for folder in folders
    ]


def answer(task: Task, name: str, *, device: str = "cpu") -> float:
    """What a similarity says about a task: Delta > 0 is the right answer.

    Delta = [s(q+, E+) - s(q+, E-)] - [s(q-, E+) - s(q-, E-)] with s(q, E) the mean similarity of a query to a set of references.

    Args:
        task: the task.
        name: of the similarity, see lib/similarity.py; all but `oracle:concepts`.
        device: where a network runs.
    """
    return delta(similarity.pairwise(name, task.pictures(), device=device, cache=None), len(task.positive_references))


def delta(similar: Callable[[np.ndarray, np.ndarray], np.ndarray], references: int = REFERENCES) -> float:
    """Delta of a task from the similarities of its pictures, counted as in `Task.pictures`."""
    query, reference = np.divmod(np.arange(4 * references), 2 * references)
    evidence = similar(query, reference + 2).reshape(2, 2, references).mean(axis=2)      # (queries, sides)
    return float(evidence[0, 0] - evidence[0, 1] - evidence[1, 0] + evidence[1, 1])


def _queries(folder: Path, old_numbering: bool) -> tuple[Path, Path]:
    if (folder / "queries").is_dir():
        return folder / "queries/max.png", folder / "queries/min.png"
    return folder / "max_9.png", folder / ("min_0.png" if old_numbering else "min_9.png")


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file}: {error}; expected a picture") from error
