"""Parameters: read from the notebook and the profile, and refused by name when they are wrong."""

import nbformat
import pytest

from lib import notebooks, profiles
from lib.profiles import ParameterError

CELL = """# a comment of its own
count: int = 3  # how many
rate: float = 1e-3
name: str = "a # b"  # quoted
on: bool = True
layers: list[str] = ["one", "two"]
widths: list[int] = [1, 2]
rates: list[float] = [
    0.1,
]  # over several lines
options: dict = {"a": 1}
profile: str = "quick"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "profiles").mkdir()
    write_notebook(tmp_path, CELL)
    write_profile(tmp_path, '"04": {}')
    return tmp_path


def write_notebook(folder, *cells):
    made = [nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]}) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "04_tiny.ipynb")


def write_profile(folder, text, name="quick"):
    (folder / "profiles" / f"{name}.yaml").write_text(text)


def resolve(folder, profile="quick", **given):
    return profiles.resolve(folder / "04_tiny.ipynb", profile, given)


def test_cell_is_read_with_types_defaults_and_help(folder):
    read = {parameter.name: parameter for parameter in profiles.declared(folder / "04_tiny.ipynb")}
    assert read["count"] == profiles.Parameter("count", "int", 3, "how many")
    assert read["name"] == profiles.Parameter("name", "str", "a # b", "quoted")
    assert read["rates"] == profiles.Parameter("rates", "list[float]", [0.1], "over several lines")
    assert read["rate"] == profiles.Parameter("rate", "float", 0.001, "")
    assert list(read) == ["count", "rate", "name", "on", "layers", "widths", "rates", "options", "profile"]


def test_defaults_then_profile_then_command_line(folder):
    write_profile(folder, "minutes: {'04': 2.5}\n'04':\n  rate: 2e-4\n  count: 5\n  rates: [1, 1e-3, 2.]\n", "study")
    settings = resolve(folder, "study", count="7", name="1e-3", layers="[x, y]", options="{b: 1e3}")
    assert settings.model_dump() == {
        "count": 7, "rate": 0.0002, "name": "1e-3", "on": True, "layers": ["x", "y"], "widths": [1, 2], "rates": [1.0, 0.001, 2.0],
        "options": {"b": 1000.0}, "profile": "study",
    }  # fmt: skip
    assert profiles.read_profile("study", folder).minutes == {"04": 2.5}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", ".001", "0.001", "+1e-03"])
def test_every_way_to_write_a_number_is_one(folder, text):
    write_profile(folder, f'"04": {{rate: {text}}}')
    assert resolve(folder).rate == 0.001 == resolve(folder, rate=text).rate


def test_whole_numbers_are_floats_where_a_float_is_asked_for(folder):
    rate = resolve(folder, rate="2").rate
    assert rate == 2.0
    assert isinstance(rate, float)


def test_settings_are_frozen(folder):
    with pytest.raises(ValueError, match="frozen"):
        resolve(folder).count = 4


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("count", "2.0", r"found 2\.0 \(float, from the command line\); expected int"),
    ("count", "true", r"found True \(bool, .*expected int"),
    ("count", "two", r"found 'two' \(str, .*expected int"),
    ("rate", "1e-3x", r"found '1e-3x' \(str, .*expected float"),
    ("rate", "true", r"found True .*expected float"),
    ("on", "1", r"found 1 \(int, .*expected bool"),
    ("layers", "one", r"found 'one' .*expected list\[str\]"),
    ("layers", "[1]", r"found \[1\] .*expected list\[str\]"),
    ("widths", "[1.5]", r"found \[1\.5\] .*expected list\[int\]"),
    ("rates", "[a]", r"found \['a'\] .*expected list\[float\]"),
    ("options", "[1]", r"found \[1\] .*expected dict"),
    ("options", "{a: ", r"found '\{a: ' .*expected dict"),
    ("coutn", "1", r"unknown \(from the command line\); nearest: count"),
])
def test_wrong_values_are_named(folder, name, text, expected):
    with pytest.raises(ParameterError, match=rf"^04_tiny: parameter {name}: {expected}"):
        resolve(folder, **{name: text})


def test_all_that_is_wrong_is_told_at_once_with_where_it_comes_from(folder):
    write_profile(folder, '"04": {count: x, nmae: 1}')
    with pytest.raises(ParameterError) as error:
        resolve(folder, rate="y")
    assert str(error.value).splitlines() == [
        "04_tiny: parameter count: found 'x' (str, from quick.yaml); expected int",
        "04_tiny: parameter rate: found 'y' (str, from the command line); expected float",
        "04_tiny: parameter nmae: unknown (from quick.yaml); nearest: name, rate, rates; "
        "expected one of count, rate, name, on, layers, widths, rates, options, profile",
    ]


def test_a_default_of_the_wrong_type_is_an_error(folder):
    write_notebook(folder, 'count: int = 1.5\nprofile: str = "quick"')
    with pytest.raises(ParameterError, match=r"parameter count: found 1.5 \(float, from the default\); expected int"):
        resolve(folder)


def test_profile_is_chosen_in_one_place(folder):
    with pytest.raises(ParameterError, match="parameter profile: found in the command line"):
        profiles.resolve(folder / "04_tiny.ipynb", "quick", {"profile": "study"})


@pytest.mark.parametrize(("cell", "message"), [
    ('count = 3\nprofile: str = "quick"', "has the line `count = 3`"),
    ('count: int\nprofile: str = "quick"', "has the line `count: int`"),
    ('count: complex = 3\nprofile: str = "quick"', "parameter count: found the type complex; expected one of int, float"),
    ('count: int = 2 * n\nprofile: str = "quick"', r"parameter count: found the default 2 \* n; expected a literal"),
    ('count: int = 1\ncount: int = 2\nprofile: str = "quick"', "parameter count: declared more than once"),
    ("count: int = 1", "parameter profile: not declared"),
    ("count: int = ", "the parameters cell is not Python"),
])
def test_a_wrong_cell_is_an_error(folder, cell, message):
    write_notebook(folder, cell)
    with pytest.raises(ParameterError, match=message):
        resolve(folder)


@pytest.mark.parametrize("cells", [(), (CELL, CELL)])
def test_there_is_exactly_one_parameters_cell(folder, cells):
    write_notebook(folder, *cells)
    with pytest.raises(ParameterError, match=f"found {len(cells)} cells tagged `parameters`; expected one"):
        resolve(folder)


@pytest.mark.parametrize(("text", "message"), [
    ("04: {}", r'found the key 4; expected `minutes` or a notebook number in quotes, such as "04"'),
    ('"04": 3', "04: found 3; expected a mapping"),
    ('"04": {rate: 1, rate: 2}', "found the key 'rate' twice"),
    ("[1]", "found list; expected a mapping"),
    ("{", "not readable as YAML"),
    ('minutes: {"05": 1}\n"04": {}', "minutes: found"),
    ('minutes: {"04": long}\n"04": {}', "minutes: found"),
    ('"05": {}', 'not in profile quick; expected an entry "04" in quick.yaml'),
])
def test_a_wrong_profile_is_an_error(folder, text, message):
    write_profile(folder, text)
    with pytest.raises(ParameterError, match=message):
        resolve(folder)


def test_a_missing_profile_is_named_with_those_there_are(folder):
    write_profile(folder, "{}", "study")
    with pytest.raises(ParameterError, match=r"profile: found 'stduy'; expected one of quick, study"):
        resolve(folder, "stduy")


@pytest.fixture
def namespace(folder, monkeypatch):
    """What `globals()` is in the setup cell of a notebook, after the parameters cell has run."""
    monkeypatch.setattr(notebooks.find, "__defaults__", (folder,))
    monkeypatch.setattr(profiles.read_profile, "__defaults__", (folder,))
    names = {"In": ["a"], "Out": {}, "_": 1, "profiles": profiles, "exit": print}
    exec(CELL, names)
    return names


def test_namespace_gives_the_settings(namespace):
    settings = profiles.from_namespace("04", namespace)
    assert (settings.count, settings.layers, settings.profile) == (3, ["one", "two"], "quick")


@pytest.mark.parametrize(("name", "value", "message"), [
    ("coutn", 1, r"parameter coutn: unknown \(from the notebook\); nearest: count"),
    ("nothing", None, "parameter nothing: unknown"),
    ("count", "1", r"parameter count: found '1' \(str, from the notebook\); expected int"),
    ("profile", "nowhere", "profile: found 'nowhere'; expected one of quick"),
])
def test_namespace_with_a_wrong_value_is_refused(namespace, name, value, message):
    namespace[name] = value
    with pytest.raises(ParameterError, match=message):
        profiles.from_namespace("04", namespace)


def test_namespace_without_a_parameter_is_refused(namespace):
    del namespace["rate"]
    with pytest.raises(ParameterError, match="parameter rate: no value found; expected float"):
        profiles.from_namespace("04", namespace)
