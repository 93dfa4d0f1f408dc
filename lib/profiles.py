"""The parameters of a notebook: declared with types in the notebook, changed by a profile, checked before anything runs.

A notebook has one cell tagged `parameters` whose lines read `name: type = default  # help`. A profile is a file
notebooks/profiles/<name>.yaml: `minutes` (a rough cost of each notebook, for `make plan`) and, for each notebook that belongs to the
profile, the values that differ from the defaults. Values given on the command line come last.
"""

import ast
import difflib
import io
import re
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from lib import notebooks
from lib.paths import NOTEBOOKS

TYPES = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "dict": dict,
    "list[int]": list[int],
    "list[float]": list[float],
    "list[str]": list[str],
}
_OF_IPYTHON = {"In", "Out"}


class ParameterError(ValueError):
    """A parameter of a notebook, or a profile, is not as it must be."""


class Settings(BaseModel):
    """The checked values of a notebook's parameters, as attributes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    type: str
    default: object
    help: str


@dataclass(frozen=True)
class Profile:
    """One file of notebooks/profiles."""

    name: str
    overrides: dict[str, dict]                              # notebook number -> parameter -> value
    minutes: dict[str, float] = field(default_factory=dict)  # notebook number -> rough cost


def declared(notebook: Path) -> list[Parameter]:
    """Read the parameters cell.

    Raises:
        ParameterError: if there is not exactly one such cell, or if a line of it is not `name: type = default`.
    """
    cells = [cell["source"] for cell in notebooks.read(notebook)["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(f"{notebook.stem}: found {len(cells)} cells tagged `parameters`; expected one")
    try:
        statements = ast.parse(cells[0]).body
    except SyntaxError as error:
        raise ParameterError(f"{notebook.stem}: the parameters cell is not Python: {error}") from None
    tokens = tokenize.generate_tokens(io.StringIO(cells[0]).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    parameters = [_parameter(notebook, statement, comments) for statement in statements]
    names = [parameter.name for parameter in parameters]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ParameterError(f"{notebook.stem}: parameter {', '.join(sorted(repeated))}: declared more than once")
    if "profile" not in names:
        raise ParameterError(f'{notebook.stem}: parameter profile: not declared; expected the line `profile: str = "quick"`')
    return parameters


def read_profile(name: str, folder: Path = NOTEBOOKS) -> Profile:
    """Read a profile by name.

    Raises:
        ParameterError: if there is no such profile or the file is not as described at the top of this module.
    """
    file = folder / "profiles" / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.yaml"))
        raise ParameterError(f"profile: found {name!r}; expected one of {', '.join(known)}")
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ParameterError(f"{file.name}: not readable as YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{file.name}: found {type(content).__name__}; expected a mapping from notebook numbers to parameters")
    minutes = content.pop("minutes", None) or {}
    for number, values in content.items():
        if not re.fullmatch(r"\d\d", str(number)) or not isinstance(number, str):
            raise ParameterError(f'{file.name}: found the key {number!r}; expected `minutes` or a notebook number in quotes, such as "04"')
        if not isinstance(values, dict):
            raise ParameterError(f"{file.name}: {number}: found {values!r}; expected a mapping from parameters to values (empty: {{}})")
    known = isinstance(minutes, dict) and set(minutes) <= set(content)
    if not known or not all(isinstance(cost, int | float) for cost in minutes.values()):
        raise ParameterError(f"{file.name}: minutes: found {minutes!r}; expected a mapping from the profile's notebooks to numbers")
    return Profile(name, content, minutes)


def resolve(notebook: Path, profile: str, given: dict[str, str] | None = None) -> Settings:
    """The values with which a notebook runs: its defaults, then the profile, then what was given as text.

    Args:
        notebook: the file.
        profile: name of the profile.
        given: parameter -> text from the command line, read as YAML unless the parameter is a str.

    Raises:
        ParameterError: naming the notebook and every wrong parameter, where its value comes from, what was found and what is expected.
    """
    parameters = {parameter.name: parameter for parameter in declared(notebook)}
    overrides = read_profile(profile, notebook.parent).overrides
    if notebook.stem[:2] not in overrides:
        raise ParameterError(f'{notebook.stem}: not in profile {profile}; expected an entry "{notebook.stem[:2]}" in {profile}.yaml')
    origin = dict.fromkeys(parameters, "the default")
    values = {name: parameter.default for name, parameter in parameters.items()}
    for name, value in overrides[notebook.stem[:2]].items():
        values[name], origin[name] = value, f"{profile}.yaml"
    for name, text in (given or {}).items():
        values[name], origin[name] = _from_text(text, parameters.get(name)), "the command line"
    if origin["profile"] != "the default":
        raise ParameterError(f"{notebook.stem}: parameter profile: found in {origin['profile']}; expected to be chosen by --profile alone")
    values["profile"] = profile
    return _checked(notebook, parameters, values, origin)


def from_namespace(notebook: str, namespace: dict) -> Settings:
    """Check the parameters again inside the running notebook, and freeze them.

    Call it in the setup cell directly below the parameters, before anything else has a name there: every plain value of the namespace must
    be a declared parameter. So a misspelt or badly typed parameter fails in the first cell however the notebook is run.

    Args:
        notebook: number or name of the notebook.
        namespace: `globals()` of the notebook.

    Raises:
        ParameterError: as `resolve`.
    """
    path = notebooks.find(notebook)
    parameters = {parameter.name: parameter for parameter in declared(path)}
    values = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _OF_IPYTHON and isinstance(value, int | float | str | list | dict | None)
    }
    settings = _checked(path, parameters, values, dict.fromkeys(values, "the notebook"))
    read_profile(settings.profile)
    return settings


def _parameter(notebook: Path, statement: ast.stmt, comments: dict[int, str]) -> Parameter:
    text = ast.unparse(statement)
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name) or statement.value is None:
        raise ParameterError(f"{notebook.stem}: the parameters cell has the line `{text}`; expected `name: type = default  # help`")
    name, kind = statement.target.id, ast.unparse(statement.annotation)
    if kind not in TYPES:
        raise ParameterError(f"{notebook.stem}: parameter {name}: found the type {kind}; expected one of {', '.join(TYPES)}")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError:
        found = ast.unparse(statement.value)
        raise ParameterError(f"{notebook.stem}: parameter {name}: found the default {found}; expected a literal") from None
    return Parameter(name, kind, default, comments.get(statement.end_lineno, ""))


def _from_text(text: str, parameter: Parameter | None) -> object:
    if parameter is None or parameter.type == "str":
        return text
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        return text  # not of the declared type, as the check that follows will say


def _checked(notebook: Path, parameters: dict[str, Parameter], values: dict, origin: dict[str, str]) -> Settings:
    model = create_model("Settings", __base__=Settings, **{name: (TYPES[parameter.type], ...) for name, parameter in parameters.items()})
    try:
        return model(**values)
    except ValidationError as error:
        wrong = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
    lines = []
    for name in wrong:
        where = f"{notebook.stem}: parameter {name}"
        if name not in parameters:
            nearest = ", ".join(difflib.get_close_matches(name, parameters, n=3, cutoff=0.4)) or "none"
            known = ", ".join(parameters)
            lines.append(f"{where}: unknown (from {origin[name]}); nearest: {nearest}; expected one of {known}")
        elif name not in values:
            lines.append(f"{where}: no value found; expected {parameters[name].type} (has the parameters cell run?)")
        else:
            found = f"{values[name]!r} ({type(values[name]).__name__}, from {origin[name]})"
            lines.append(f"{where}: found {found}; expected {parameters[name].type}")
    raise ParameterError("\n".join(lines))


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in YAML 1.2 and in Python, and in which no key may come twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"found the key {key!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))
