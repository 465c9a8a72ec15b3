"""Every environment variable that a settings model reads: its name, default and meaning."""

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

PREFIX: Final = "CALLIOPE_"
SEPARATOR: Final = "__"
VENDORS: Final = ("CALLIOPE_PROVIDERS__", "CALLIOPE_CARRIERS__")
VENDOR_FIELDS: Final = {
    "url": "Address of the vendor's API; another one for a regional or private host.",
    "api_key": "The installation's own key, for assistants that bring none.",
    "account_sid": "The installation's own account, for assistants that bring none.",
    "auth_token": "Auth token of that account; verifies its requests and controls its calls.",
    "model": "Model for assistants that name none.",
    "voice": "Voice for assistants that name none.",
    "handshake_deadline_s": "Seconds until a connection must be open; then the next try begins.",
}
"""What fields mean that every vendor has."""


class Variable(NamedTuple):
    """One environment variable. `group` is the prefix that it shares with others, `about` what that group is."""

    name: str
    default: str
    meaning: str
    group: str = ""
    about: str = ""
    is_list: bool = False


def variables(model: type[BaseModel], defaults: BaseModel | None = None, prefix: str = PREFIX) -> Iterator[Variable]:
    """Every variable that a settings model reads, groups opened."""
    group, about = (prefix, _about(model)) if prefix != PREFIX else ("", "")
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else field.get_default(call_default_factory=True)
        variable = f"{prefix}{name.upper()}"
        if isinstance(default, BaseModel):
            yield from variables(type(default), default, variable + SEPARATOR)
        else:
            is_list = isinstance(default, tuple)
            yield Variable(variable, _text(default), _meaning(variable, name, field), group, about, is_list)


def variable_of(path: Sequence[str | int]) -> str:
    """The variable of a path through the settings: `CALLIOPE_NATS__URL` of `("nats", "url")`."""
    return PREFIX + SEPARATOR.join(str(step).upper() for step in path)


def _about(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _meaning(variable: str, name: str, field: FieldInfo) -> str:
    vendor = VENDOR_FIELDS.get(name, "") if variable.startswith(VENDORS) else ""
    return " ".join((field.description or vendor).split())


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, default=str)
