"""Names for contents: hashes of files, of plain values, and of code.

The hash of code ignores comments, docstrings and layout, so that only a change of meaning makes results out of date. It covers a module and
every `lib` module that it imports, directly or not.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# Read once, when the process starts: a file edited during a long run must not change the name of what the old code is making.
_SOURCES = {path: path.read_bytes() for path in PACKAGE.rglob("*.py")}


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(values: object, name: str = "values") -> str:
    """The one JSON text of plain values (None, bool, int, float, str, lists, tuples and dicts of these, keyed by text).

    Raises:
        TypeError: if anything else is inside; the message says where.
    """
    _require_plain(values, name)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def values_sha256(values: object, name: str = "values") -> str:
    """SHA-256 of plain values (see `canonical_json`), in hexadecimal."""
    return hashlib.sha256(canonical_json(values, name).encode()).hexdigest()


def code_sha256(objects: Iterable[object], *, without: Iterable[object] = ()) -> str:
    """SHA-256 of the modules that define `objects` and of every `lib` module these import, directly or not.

    Args:
        objects: modules, classes or functions.
        without: the same; modules that are left out, with what only they import.

    Raises:
        TypeError: if an object is not defined in a file (for example in a cell of a notebook).
    """
    return _files_sha256(map(_file_of, objects), map(_file_of, without))


def source_sha256(source: str) -> str:
    """SHA-256 of every `lib` module that this source text imports, directly or not; the text itself is not part of it."""
    return _files_sha256(imported_files(ast.parse(source), package=""))


def imported_files(tree: ast.AST, package: str) -> list[Path]:
    """Files of the `lib` modules that a syntax tree imports, at its top or inside a function.

    Args:
        tree: the tree.
        package: dotted name of the package that the tree's module is in, for relative imports; empty if there is none.
    """
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, node.module] if node.module else parents)
            # `from lib.datasets import scenes` is about the module scenes, `from lib.datasets import load` about the package.
            names += [f"{base}.{alias.name}" if _file_named(f"{base}.{alias.name}") else base for alias in node.names]
    files = (_file_named(name) for name in names)
    return sorted({file for file in files if file})


def _require_plain(value: object, name: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{name}: found the key {key!r} of type {type(key).__name__}; expected text")
            _require_plain(item, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require_plain(item, f"{name}[{index}]")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise TypeError(f"{name}: found {type(value).__name__}; expected None, bool, int, float, str, or lists and dicts of these")


def _file_of(item: object) -> Path:
    if not (inspect.ismodule(item) or inspect.isclass(item) or inspect.isfunction(item)):
        raise TypeError(f"code: found {item!r}; expected modules, classes or functions")
    module = item.__name__ if inspect.ismodule(item) else item.__module__
    file = _file_named(module) or getattr(sys.modules.get(module), "__file__", None)
    if file is None or Path(file).suffix != ".py":
        raise TypeError(f"code: found {item!r}, defined in {module}, which has no source file; expected something defined in a module")
    return Path(file).resolve()


def _file_named(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*parts[1:])
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file in _SOURCES), None)


def _files_sha256(files: Iterable[Path], without: Iterable[Path] = ()) -> str:
    waiting, digests, skipped = list(files), {}, set(without)
    while waiting:
        file = waiting.pop()
        if file in digests or file in skipped:
            continue
        digests[file], imported = _named(file, _SOURCES[file] if file in _SOURCES else file.read_bytes())
        waiting += imported
    return values_sha256(sorted(digests.values()))


@cache  # most of the modules behind one entry of the cache are behind the next one too
def _named(file: Path, source: bytes) -> tuple[tuple[str, str], tuple[Path, ...]]:
    """The name of a file with the hash of its code, and the files that it imports."""
    tree = ast.parse(source, filename=str(file))
    inside = file.is_relative_to(PACKAGE)
    package = ".".join(file.relative_to(PACKAGE.parent).parts[:-1]) if inside else ""
    name = file.relative_to(PACKAGE.parent).as_posix() if inside else file.name
    return (name, hashlib.sha256(_described(tree).encode()).hexdigest()), tuple(imported_files(tree, package))


def _described(node: object) -> str:
    """A syntax tree as text, without docstrings.

    Empty fields are left out, so that the text does not depend on the version of Python (as that of ast.dump does).
    """
    if isinstance(node, list):
        return f"[{','.join(map(_described, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = fields["body"][1:]
    return f"{type(node).__name__}({','.join(f'{name}={_described(value)}' for name, value in fields.items())})"
