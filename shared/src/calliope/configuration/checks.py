"""What settings must hold that a type cannot say, as one list for all services: which keys are needed, and what is
only fit for a laptop. A rule counts where a service has the setting that it names.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, SecretStr

from calliope.configuration.variables import variable_of
from calliope.settings import Environment

KEY_BYTES: Final = 32
NEW_KEYS: Final = "`calliope-admin secrets new` makes a pair"
_LOCAL_NAMES: Final = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One variable as the operator writes it, what is wrong with it and what to do."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable} {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over the setting at `path`; `judge` gets it and the group it stands in, None means all is well."""

    path: tuple[str, ...]
    judge: Callable[[Any, Any], str | None]
    always: bool = False
    """Whether it holds on a laptop, too."""


def problems(settings: BaseModel) -> list[SettingProblem]:
    """Everything that is wrong with these settings, in the order of `RULES`."""
    production = getattr(settings, "environment", None) is Environment.PRODUCTION
    found = []
    for rule in RULES:
        for value, group in _at(settings, rule.path) if production or rule.always else ():
            if (message := rule.judge(value, group)) is not None:
                found.append(SettingProblem(variable_of(rule.path), message))
    return found


def _at(settings: BaseModel, path: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    node: Any = settings
    group: Any = settings
    for step in path:
        if not isinstance(node, BaseModel) or step not in type(node).model_fields:
            return
        group, node = node, getattr(node, step)
    yield node, group


def public_problem(url: str | None, scheme: str) -> str | None:
    """Why carriers cannot reach this address from outside; None when nothing speaks against it."""
    example = f"{scheme}://calls.example.com"
    parts = _split(url or "")
    if not url:
        return f"is not set: give the public address, such as {example}"
    if parts is None or not parts.hostname:
        return f"is not an address: give one such as {example}"
    if parts.scheme != scheme:
        return f"must begin with {scheme}://, such as {example}: carriers refuse what is not encrypted"
    if is_inside(parts.hostname):
        return f"names {parts.hostname}, which nobody outside can reach: give the public name, such as {example}"
    return None


def is_inside(host: str) -> bool:
    """Whether a host is this machine or an address of a private network, told from its spelling alone."""
    name = host.rstrip(".").lower()
    try:
        return not ip_address(name).is_global
    except ValueError:
        return name in _LOCAL_NAMES or name.endswith((".localhost", ".local"))


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _public_key(value: str, _group: Any) -> str | None:
    if not value:
        return f"is not set: secrets of assistants are sealed to it; {NEW_KEYS}"
    return None if _is_key(value) else f"is not a key (base64 of {KEY_BYTES} bytes): {NEW_KEYS}"


def _private_keys(value: tuple[SecretStr, ...], _group: Any) -> str | None:
    if all(_is_key(_plain(each)) for each in value):
        return None
    return f'holds something that is not a key: a JSON list of base64 texts of {KEY_BYTES} bytes, such as ["…"]'


def _some_private_key(value: tuple[SecretStr, ...], _group: Any) -> str | None:
    return None if value else f"is not set: without the private half no stored secret can be opened; {NEW_KEYS}"


def _bus_user(value: str | None, group: Any) -> str | None:
    named = [parts is not None and bool(parts.username) for parts in map(_split, group.url.split(","))]
    if value or all(named):
        return None
    return "is not set: whoever reaches a bus without users can read every call; give this service a user of its own"


def _bus_password(value: SecretStr | None, group: Any) -> str | None:
    if group.user and not (value and value.get_secret_value()):
        return f"is not set: the user {group.user} needs its password"
    return None


def _no_bootstrap(value: SecretStr | None, _group: Any) -> str | None:
    return None if value is None else "is for the local stack: take it out, `calliope-admin keys create` makes keys"


def _no_networks(value: tuple[Any, ...], _group: Any) -> str | None:
    if not value:
        return None
    return "lets documents of tenants reach private networks: take it out, in production only public addresses are"


def _no_http(value: bool, _group: Any) -> str | None:
    return (
        "lets secrets of tenants travel unencrypted: take it out, in production addresses are https" if value else None
    )


RULES: Final = (
    Rule(("sealing", "calls_public_key"), _public_key, always=True),
    Rule(("sealing", "webhooks_public_key"), _public_key, always=True),
    Rule(("sealing", "private_keys"), _private_keys, always=True),
    Rule(("sealing", "private_keys"), _some_private_key),
    Rule(("nats", "user"), _bus_user),
    Rule(("nats", "password"), _bus_password, always=True),
    Rule(("public_url",), lambda value, _: public_problem(value, "https")),
    Rule(("media", "public_url"), lambda value, _: public_problem(value, "wss")),
    Rule(("bootstrap_api_key",), _no_bootstrap),
    Rule(("egress", "allow"), _no_networks),
    Rule(("egress", "allow_http"), _no_http),
)
