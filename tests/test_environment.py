"""The lock, pyproject.toml and environment.yml say the same, and git keeps what it must."""

import re
import stat
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lib import paths

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = [Requirement(line) for line in (paths.ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line]
CONDA = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")

# torch and torchvision are built for each other: torch 2.N goes with torchvision 0.(N + 15).
MINOR_DISTANCE = 15


def pinned(name, python):
    """The version that the lock gives on Linux with a version of Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux", "platform_machine": "x86_64"}
    found = [
        requirement.specifier
        for requirement in LOCK
        if canonicalize_name(requirement.name) == canonicalize_name(name)
        and (requirement.marker is None or requirement.marker.evaluate(environment))
    ]
    assert len(found) == 1, f"{name} on Python {python}: found {found} in the lock; expected one line"
    (specifier,) = found[0]
    assert specifier.operator == "=="
    return Version(specifier.version)


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
def test_lock_pins_every_dependency_within_its_range(text):
    requirement = Requirement(text)
    for python in PYTHONS:
        assert requirement.specifier.contains(pinned(requirement.name, python))


@pytest.mark.parametrize("python", PYTHONS)
def test_torch_and_torchvision_are_a_pair(python):
    torch, torchvision = pinned("torch", python), pinned("torchvision", python)
    assert (torch.major, torchvision.major) == (2, 0)
    assert torchvision.minor - torch.minor == MINOR_DISTANCE
    assert torchvision.micro == torch.micro


def test_lock_pins_exactly_and_from_no_particular_index():
    for requirement in LOCK:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        assert requirement.url is None
        assert "+" not in str(requirement.specifier)


def test_setuptools_of_the_lock_can_build_the_project():
    build = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    (setuptools,) = map(Requirement, build["requires"])
    assert setuptools.specifier.contains(pinned("setuptools", "3.11"))


def test_conda_environment_uses_the_same_lock_and_pythons():
    (pip,) = (item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    (python,) = (item for item in CONDA["dependencies"] if isinstance(item, str) and item.startswith("python"))
    assert python.removeprefix("python").replace(" ", "") == PROJECT["requires-python"]
    assert CONDA["variables"] == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_this_environment_is_the_lock():
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for text in PROJECT["dependencies"]:
        name = Requirement(text).name
        assert Version(metadata.version(name)).public == str(pinned(name, python)), name


def ignored(*names):
    answer = subprocess.run(["git", "check-ignore", "--no-index", *names], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.split()


@pytest.mark.skipif(not (paths.ROOT / ".git").exists(), reason="not a git checkout")
def test_git_keeps_code_and_results_and_drops_what_can_be_made():
    kept = ("lib/paths.py", "lib/datasets/new.py", "data/results/quick/04_claims.csv", "data/reported/mis.csv", "figures/quick/04_line.png")
    dropped = (".venv", ".venv/bin/python", "build/a.json", "data/cache/a.npz", "data/weights/w.pt", "data/images/x.png", "figures/a/4.svg")
    assert ignored(*kept) == []
    assert ignored(*dropped) == list(dropped)


@pytest.mark.skipif(not (paths.ROOT / ".git").exists(), reason="not a git checkout")
def test_git_holds_nothing_that_is_ignored():
    command = ["git", "-c", "core.excludesFile=", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout == ""


def test_ci_runs_exactly_the_test_command():
    script = paths.ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    lines = script.read_text(encoding="utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "exec make test"


def test_citation_names_the_five_papers():
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["version"] == PROJECT["version"]
    text = " ".join(reference["title"] for reference in citation["references"])
    for words in ("Quantized Revers", "Learned Representations", "LICO", "Interpretability at Scale", "Classifiability can Boost"):
        assert re.search(words, text), words
    assert len(citation["references"]) == 5
    assert all(reference["authors"] and reference["year"] for reference in citation["references"])
