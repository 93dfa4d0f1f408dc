"""A cache on disk whose entries are named by everything that determines them.

The name of an entry is the hash of its inputs and of the code that makes it (see lib/fingerprint.py), so an entry is never out of date:
other inputs or other code is another entry. Nothing is pickled.
"""

import hashlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from lib import fingerprint, paths
from lib.fingerprint import canonical_json, file_sha256
from lib.paths import CACHE, atomically

__all__ = ["code_fingerprint", "fetch", "file_sha256"]


def code_fingerprint(*objects: object) -> str:
    """Hash of the modules that define the objects and of every `lib` module these import; comments and docstrings do not count.

    The modules that only keep and name results are left out: with them every edit of this file would empty the cache.
    """
    return fingerprint.code_sha256(objects, without=[sys.modules[__name__], fingerprint, paths])


def fetch(kind: str, inputs: dict, make: Callable[[], dict], *, code: Sequence[object], folder: Path = CACHE) -> dict:
    """Read an entry, or make and keep it.

    Two processes that ask for the same entry make it once: the second one waits. An entry that cannot be read, or whose bytes have changed,
    is made again with a warning.

    Args:
        kind: what sort of thing it is, e.g. "embeddings" or "encoders/simclr"; names a folder.
        inputs: plain values that determine the result, together with the code.
        make: returns a dict of NumPy arrays, or a dict of torch tensors (kept and returned on the CPU).
        code: the modules, classes or functions that `make` runs.
        folder: where entries are kept.

    Returns:
        The arrays as read back from disk, so that the first call and all later ones give the same.

    Raises:
        TypeError: if inputs holds anything but plain values, code something without a source file, or make returns anything but arrays of
            one sort.
        ValueError: if kind does not name a folder.
    """
    if not re.fullmatch(r"[a-z0-9_-]+(/[a-z0-9_-]+)*", kind):
        raise ValueError(f"kind: found {kind!r}; expected small letters, digits, '-' and '_', with '/' between folders")
    text = canonical_json({"kind": kind, "inputs": inputs, "code": code_fingerprint(*code)}, kind)
    key = hashlib.sha256(text.encode()).hexdigest()
    sidecar = folder / kind / f"{key[:32]}.json"
    sidecar.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(sidecar.with_suffix(".lock")):
        entry = _read(sidecar)
        if entry is None:
            _write(sidecar, make(), {"key": key, **json.loads(text)})
            entry = _read(sidecar)
    if entry is None:
        raise OSError(f"{sidecar}: the entry just written cannot be read back; expected a working disk")
    return entry


def _write(sidecar: Path, arrays: dict, description: dict) -> None:
    if not isinstance(arrays, dict) or not arrays:
        raise TypeError(f"make: found {arrays!r:.80} returned; expected a dict of arrays")
    if all(isinstance(array, np.ndarray) and not array.dtype.hasobject for array in arrays.values()):
        payload = sidecar.with_suffix(".npz")
        with atomically(payload) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    elif all(type(array).__module__.startswith("torch") and hasattr(array, "untyped_storage") for array in arrays.values()):
        from safetensors.torch import save_file

        payload = sidecar.with_suffix(".safetensors")
        with atomically(payload) as temporary:
            # Cloned, because tensors that share memory cannot be saved.
            save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in arrays.items()}, temporary)
    else:
        found = ", ".join(f"{name}: {type(array).__name__}" for name, array in arrays.items())
        raise TypeError(f"make: found {found}; expected NumPy arrays without objects only, or torch tensors only")
    description |= {"payload": payload.name, "names": list(arrays), "sha256": file_sha256(payload)}
    with atomically(sidecar) as temporary:
        temporary.write_text(json.dumps(description, indent=1), encoding="utf-8", newline="\n")


def _read(sidecar: Path) -> dict | None:
    """The arrays, or None if there are none or if they are damaged (then with a warning)."""
    if not sidecar.exists():
        return None
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        payload = sidecar.with_name(description["payload"])
        if file_sha256(payload) != description["sha256"]:
            raise ValueError("its bytes have changed since it was written")
        if payload.suffix == ".npz":
            with np.load(payload, allow_pickle=False) as stored:
                return {name: stored[name] for name in description["names"]}
        from safetensors.torch import load_file

        stored = load_file(payload)
        return {name: stored[name] for name in description["names"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{sidecar}: this cache entry is damaged ({error}); it is made again", stacklevel=3)
        return None
