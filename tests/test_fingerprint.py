"""Hashes of values and of code: what must change them and what must not."""

import functools
import hashlib
import sys

import numpy as np
import pytest

from lib import fingerprint, paths, store

ASK = "import sys; from lib import fingerprint; print(*map(fingerprint.source_sha256, sys.argv[1:]))"


def asked(project, source):
    answer = project.python("-c", ASK, source)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert fingerprint.file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_values_have_one_text():
    assert fingerprint.canonical_json({"b": (1, 2.5), "a": [None, True, "é"]}) == '{"a":[null,true,"é"],"b":[1,2.5]}'
    assert fingerprint.values_sha256(1) == hashlib.sha256(b"1").hexdigest() != fingerprint.values_sha256(1.0)


@pytest.mark.parametrize(("values", "message"), [
    ({"a": {"b": [0, np.arange(2)]}}, r"inputs\['a'\]\['b'\]\[1\]: found ndarray"),
    ({"a": np.float32(1)}, r"inputs\['a'\]: found float32"),
    ({1: "a"}, r"inputs: found the key 1 of type int"),
    ({"a": {1}}, r"inputs\['a'\]: found set"),
])
def test_other_values_are_named(values, message):
    with pytest.raises(TypeError, match=message):
        fingerprint.canonical_json(values, "inputs")


@pytest.mark.parametrize("item", [functools.partial(print), print, "lib.paths", 3])
def test_code_without_a_file_is_named(item):
    with pytest.raises(TypeError, match="code: found"):
        fingerprint.code_sha256([item])


def test_code_of_a_notebook_cell_is_refused(monkeypatch):
    cell = {"__name__": "in_a_cell"}
    exec("def make(): return 1", cell)
    monkeypatch.setitem(sys.modules, "in_a_cell", type(sys)("in_a_cell"))
    with pytest.raises(TypeError, match="defined in in_a_cell, which has no source file"):
        fingerprint.code_sha256([cell["make"]])


def test_module_function_and_class_of_one_module_agree():
    assert fingerprint.code_sha256([fingerprint]) == fingerprint.code_sha256([fingerprint.file_sha256])
    assert fingerprint.code_sha256([fingerprint]) != fingerprint.code_sha256([store])
    assert fingerprint.code_sha256([store], without=[paths]) != fingerprint.code_sha256([store])


def test_only_a_change_of_meaning_counts_wherever_it_is(project):
    """One module imports another, in each way that Python has; edits of the imported one are followed."""
    package = project.root / "lib" / "sums"
    package.mkdir()
    (package / "__init__.py").write_text("")
    inner = package / "inner.py"
    inner.write_text("def one():\n    return 1\n")
    (package / "unrelated.py").write_text("x = 1\n")
    outers = {
        "absolute": "import lib.sums.inner\n",
        "named": "from lib.sums.inner import one\n",
        "submodule": "from lib.sums import inner\n",
        "relative": "from . import inner\n",
        "relative_named": "from .inner import one\n",
        "in_function": "def two():\n    from ..sums.inner import one\n    return one() + 1\n",
    }
    for name, text in outers.items():
        (package / f"{name}.py").write_text(text)

    def keys():
        answer = project.python("-c", ASK, *(f"import lib.sums.{name}" for name in outers))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.split()

    first = keys()
    assert len(set(first)) == len(outers)
    inner.write_text('"""A docstring."""\n\n\ndef one():\n    """And another."""\n    # and a comment\n    return (1)\n')
    (package / "unrelated.py").write_text("x = 2\n")
    assert keys() == first
    inner.write_text("def one():\n    return 2\n")
    assert not set(keys()) & set(first)


def test_a_process_keeps_the_code_it_started_with(project):
    module = project.root / "lib" / "number.py"
    module.write_text("x = 1\n")
    source = (
        "import pathlib; from lib import fingerprint\n"
        f"pathlib.Path({str(module)!r}).write_text('x = 2')\n"
        "print(fingerprint.source_sha256('import lib.number'))"
    )
    before = asked(project, "import lib.number")
    assert project.python("-c", source).stdout.strip() == before != asked(project, "import lib.number")


def test_what_is_not_lib_does_not_count(project):
    assert asked(project, "import numpy, os") == asked(project, "x = 1") != asked(project, "from lib import paths")
