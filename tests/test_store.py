"""The cache: what is kept, what makes another entry, and what happens to a damaged one."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from lib import fingerprint, paths, store


class Maker:
    """Counts how often it is asked."""

    def __init__(self, arrays):
        self.arrays, self.calls = arrays, 0

    def __call__(self):
        self.calls += 1
        return self.arrays


def payload(folder, ending):
    (file,) = folder.rglob(f"*{ending}")
    return file


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"z": np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::2], "a": np.array(["é", "b"]), "empty": np.zeros((0, 4), np.float32)}
    make = Maker(arrays)
    for _ in range(2):
        got = store.fetch("things/small", {"a": 1}, make, code=[paths], folder=tmp_path)
        assert list(got) == list(arrays)
        for name, array in arrays.items():
            assert got[name].dtype == array.dtype
            np.testing.assert_array_equal(got[name], array)
    assert make.calls == 1


def test_tensors_come_back_as_they_were_even_if_they_share_memory(tmp_path):
    base = torch.arange(6, dtype=torch.bfloat16, requires_grad=True)
    tensors = {"whole": base, "part": base[2:4], "turned": torch.eye(2, 3).T, "number": torch.tensor(3)}
    make = Maker(tensors)
    for _ in range(2):
        got = store.fetch("weights", {}, make, code=[paths], folder=tmp_path)
        assert list(got) == list(tensors)
        assert all(got[name].dtype == tensor.dtype and torch.equal(got[name], tensor) for name, tensor in tensors.items())
        assert not got["whole"].requires_grad
    assert make.calls == 1


def test_inputs_kind_and_code_each_make_another_entry(tmp_path):
    def made(value, kind="a", inputs=None, code=paths):
        return int(store.fetch(kind, inputs or {"n": 1}, lambda: {"x": np.array(value)}, code=[code], folder=tmp_path)["x"])

    assert made(0) == 0 == made(1)
    assert made(2, inputs={"n": 2}) == 2
    assert made(3, inputs={"n": 1.0}) == 3
    assert made(4, kind="b") == 4
    assert made(5, code=np.testing) == 5
    assert made(6) == 0


def test_the_same_entry_is_the_same_bytes_anywhere(tmp_path):
    for folder in ("one", "two"):
        store.fetch("a", {"n": 1}, lambda: {"x": np.eye(3), "y": np.arange(2)}, code=[paths], folder=tmp_path / folder)
    one, two = (sorted((tmp_path / folder).rglob("*.*")) for folder in ("one", "two"))
    assert [file.name for file in one] == [file.name for file in two]
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]


def test_sidecar_tells_what_the_entry_is(tmp_path):
    store.fetch("a", {"n": [1, "two"]}, lambda: {"x": np.eye(3)}, code=[paths], folder=tmp_path)
    sidecar = json.loads(payload(tmp_path, ".json").read_text())
    assert sidecar["inputs"] == {"n": [1, "two"]}
    assert sidecar["code"] == store.code_fingerprint(paths)
    assert sidecar["sha256"] == store.file_sha256(payload(tmp_path, ".npz"))


def damage_bytes(folder):
    file = payload(folder, ".npz")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(folder):
    file = payload(folder, ".npz")
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize("damage", [
    damage_bytes,
    truncate,
    lambda folder: payload(folder, ".npz").unlink(),
    lambda folder: payload(folder, ".json").write_text('{"payload": '),
    lambda folder: payload(folder, ".json").write_text("[]"),
])
def test_a_damaged_entry_is_made_again_with_a_warning(tmp_path, damage):
    make = Maker({"x": np.arange(1000)})
    store.fetch("a", {}, make, code=[paths], folder=tmp_path)
    damage(tmp_path)
    with pytest.warns(UserWarning, match=r"\.json: this cache entry is damaged .*made again"):
        got = store.fetch("a", {}, make, code=[paths], folder=tmp_path)
    np.testing.assert_array_equal(got["x"], np.arange(1000))
    assert make.calls == 2
    store.fetch("a", {}, make, code=[paths], folder=tmp_path)
    assert make.calls == 2


def test_a_payload_without_sidecar_does_not_count(tmp_path):
    """That is what a process leaves that is killed between the two files."""
    make = Maker({"x": np.arange(3)})
    store.fetch("a", {}, make, code=[paths], folder=tmp_path)
    payload(tmp_path, ".json").unlink()
    store.fetch("a", {}, make, code=[paths], folder=tmp_path)
    assert make.calls == 2


def test_nothing_is_left_when_making_fails(tmp_path):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.fetch("a", {}, fail, code=[paths], folder=tmp_path)
    assert [file.suffix for file in tmp_path.rglob("*.*")] == [".lock"]


@pytest.mark.parametrize(("returned", "message"), [
    ({}, r"make: found \{\} returned"),
    ([np.eye(2)], r"expected a dict of arrays"),
    ({"x": np.eye(2), "y": torch.eye(2)}, "x: ndarray, y: Tensor"),
    ({"x": 1.0}, "x: float"),
    ({"x": np.array([{}])}, "without objects"),
])
def test_what_cannot_be_kept_is_named(tmp_path, returned, message):
    with pytest.raises(TypeError, match=message):
        store.fetch("a", {}, lambda: returned, code=[paths], folder=tmp_path)


def test_bad_arguments_are_named_before_anything_is_made(tmp_path):
    make = Maker({"x": np.eye(2)})
    with pytest.raises(TypeError, match=r"a\['inputs'\]\['pictures'\]: found ndarray"):
        store.fetch("a", {"pictures": np.eye(2)}, make, code=[paths], folder=tmp_path)
    with pytest.raises(ValueError, match=r"kind: found '\.\./a'"):
        store.fetch("../a", {}, make, code=[paths], folder=tmp_path)
    with pytest.raises(TypeError, match="code: found"):
        store.fetch("a", {}, make, code=["lib"], folder=tmp_path)
    assert make.calls == 0


def test_fingerprint_leaves_out_the_store_itself():
    assert store.code_fingerprint(store, paths, fingerprint) == fingerprint.values_sha256([])
    assert store.code_fingerprint(np.testing) != store.code_fingerprint(store)


MAKE_SLOWLY = """
import pathlib, sys, time
import numpy as np
from lib import paths, store
folder = pathlib.Path(sys.argv[1])
def make():
    with (folder / "calls").open("a") as stream:
        stream.write("x")
    time.sleep(1)
    return {"x": np.arange(3)}
print(store.fetch("a", {}, make, code=[paths], folder=folder)["x"])
"""


def test_two_processes_make_an_entry_once(tmp_path):
    command = [sys.executable, "-c", MAKE_SLOWLY, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["[0 1 2]", "[0 1 2]"]
    assert (tmp_path / "calls").read_text() == "x"
