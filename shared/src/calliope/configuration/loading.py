"""Reads the settings of a process from its environment, or says in words what is wrong with each variable."""

import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsError

from calliope.configuration.checks import SettingProblem, problems
from calliope.configuration.variables import Variable, variable_of, variables
from calliope.errors import PermanentError

SettingsT = TypeVar("SettingsT", bound=BaseSettings)

_WORDS: Final[Mapping[str, str]] = {
    "missing": "is not set",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "too_short": "must not be empty",
    "tuple_type": 'must be a JSON list, such as ["…"]',
    "ip_v4_network": "must be a network, such as 10.0.0.0/8",
    "ip_v6_network": "must be a network, such as 10.0.0.0/8",
}
"""By kind of error; kinds that are not here keep the library's own sentence."""


_HTTP: Final = "CALLIOPE_HTTP__"
_HEALTH: Final = "CALLIOPE_HEALTH__"


class SettingsRefused(PermanentError):  # noqa: N818 - a refusal, not a fault of ours
    """The settings cannot be used; `problems` has one entry per variable."""

    def __init__(self, found: Sequence[SettingProblem]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.problems = tuple(found)


def load(model: type[SettingsT]) -> SettingsT:
    """The settings of this process. Raises: SettingsRefused."""
    try:
        settings = model()
    except ValidationError as exc:
        raise SettingsRefused(_refused(exc, model)) from None  # the cause would show secrets
    except SettingsError as exc:
        raise SettingsRefused(_unreadable(model, str(exc))) from None
    if found := problems(settings):
        raise SettingsRefused(found)
    return settings


def unread(model: type[BaseModel], environment: Mapping[str, str]) -> list[SettingProblem]:
    """Variables that mean something to other services and, since health has its own, nothing to this one."""
    if "http" in model.model_fields:
        return []
    known = {variable.name for variable in variables(model)}
    found = []
    for name in sorted(each for each in environment if each.startswith(_HTTP) and environment[each]):
        health = _HEALTH + name.removeprefix(_HTTP)
        advice = f"health and metrics are answered at {health}" if health in known else "take it out"
        found.append(SettingProblem(name, f"is not read by this service: {advice}"))
    return found


def _refused(error: ValidationError, model: type[BaseModel]) -> list[SettingProblem]:
    known = {variable.name: variable for variable in variables(model)}
    found: dict[str, SettingProblem] = {}
    for item in error.errors(include_input=False, include_url=False):
        name, place = _variable(item["loc"], known)
        message = place + _in_words(item, name, known)
        found.setdefault(name, SettingProblem(name, message))  # one line a variable, however many types it could have
    return list(found.values())


def _variable(path: tuple[int | str, ...], known: Mapping[str, Variable]) -> tuple[str, str]:
    """The variable that a path leads to or into, and which item of its list."""
    for length in range(len(path), 0, -1):
        if (name := variable_of(path[:length])) in known:
            item = next((step for step in path[length:] if isinstance(step, int)), None)
            return name, "" if item is None else f"(item {item + 1}) "
    return variable_of(path), ""


def _in_words(item: Any, name: str, known: Mapping[str, Variable]) -> str:
    context = {
        key: f"{value:g}" if isinstance(value, float) else value for key, value in (item.get("ctx") or {}).items()
    }
    if item["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        return f"is not read by this service: {f'did you mean {nearest[0]}?' if nearest else 'take it out'}"
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    sentence = _WORDS[item["type"]].format(**context) if item["type"] in _WORDS else f"is wrong: {item['msg']}"
    default = known[name].default if name in known else ""
    return f"{sentence}; its default is {default}" if default else sentence


def _unreadable(model: type[BaseModel], words: str) -> list[SettingProblem]:
    """The library names the group only; the variable is the one whose value is no JSON."""
    lists = [each.name for each in variables(model) if each.is_list]
    groups = {each.group.removesuffix("__") for each in variables(model) if each.group}
    found = [SettingProblem(name, 'must be a JSON list, such as ["…"]') for name in _without_json(lists)] + [
        SettingProblem(name, f"is a group, not a setting: set {name}__…, one variable each")
        for name in _without_json(groups)
    ]
    return found or [SettingProblem("CALLIOPE_…", f"cannot be read: {words}")]


def _without_json(names: Iterable[str]) -> list[str]:
    """Those whose value in the environment is no JSON."""
    found = []
    for name in sorted(names):
        try:
            json.loads(os.environ.get(name, "0"))
        except ValueError:
            found.append(name)
    return found
