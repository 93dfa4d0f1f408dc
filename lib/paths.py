"""Where things are, and how a file is written so that it is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "data"
CACHE = DATA / "cache"
WEIGHTS = DATA / "weights"
IMAGES = DATA / "images"
RESULTS = DATA / "results"
REPORTED = DATA / "reported"
FIGURES = ROOT / "figures"
BUILD = ROOT / "build"


def mirror() -> Path | None:
    """The local folder that is looked at before the network, named by the environment variable DATA_MIRROR.

    A relative name is resolved against the working directory, else against the root of the project.

    Raises:
        ValueError: if the variable is set and no such folder exists.
    """
    name = os.environ.get("DATA_MIRROR", "")
    if not name:
        return None
    candidates = [Path.cwd() / name, ROOT / name]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    looked = " or ".join(str(candidate) for candidate in dict.fromkeys(candidates))
    raise ValueError(f"DATA_MIRROR: found {name!r}, and there is no folder {looked}; expected an existing folder, or the variable unset")


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it takes the place of `path` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
