"""Every environment variable of every service, read from the settings models: `docs/settings.md`, `.env.example`."""

import json
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from calliope.settings import ServiceSettings
from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_sandbox.settings import SandboxSettings
from calliope_webhooks.settings import WebhooksSettings

PREFIX: Final = "CALLIOPE_"
SERVICES: Final[dict[str, type[ServiceSettings]]] = {
    "gateway": GatewaySettings,
    "assistants": AssistantsSettings,
    "call-worker": WorkerSettings,
    "webhooks": WebhooksSettings,
}
VENDORS: Final = ("CALLIOPE_PROVIDERS__", "CALLIOPE_CARRIERS__")
VENDOR_FIELDS: Final = {
    "url": "Where the vendor is reached.",
    "api_key": "The installation's own key, for assistants that bring none.",
    "account_sid": "The installation's own account, for assistants that bring none.",
    "auth_token": "Of that account.",
    "model": "For assistants that name none.",
    "voice": "For assistants that name none.",
    "handshake_deadline_s": "Until connected.",
}
"""What fields mean that every vendor has."""
_HEAD: Final = """\
# Settings

<!-- Made from the settings models by `make snapshots`; edit their descriptions, not this page. -->

Everything is read from environment variables at start; a wrong value ends the process with the variable's name. Lists
and networks are JSON (`["10.0.0.0/8"]`). Names end in their unit: `_s` seconds, `_bytes` bytes. Defaults fit the local
stack; [`.env.example`](../.env.example) has what a production installation sets.
"""


class Variable(NamedTuple):
    """One environment variable."""

    name: str
    default: str
    meaning: str

    def row(self) -> str:
        """A line of the table."""
        default = f"`{self.default}`" if self.default else ""
        return f"| `{self.name}` | {default} | {self.meaning.replace('|', chr(92) + '|')} |"


def variables(model: type[BaseModel], defaults: BaseModel | None = None, prefix: str = PREFIX) -> Iterator[Variable]:
    """Every variable that a settings model reads, groups opened."""
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else field.get_default(call_default_factory=True)
        variable = f"{prefix}{name.upper()}"
        if isinstance(default, BaseModel):
            yield from variables(type(default), default, f"{variable}__")
        else:
            yield Variable(variable, _text(default), _meaning(variable, name, field))


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


def sandbox_variables() -> list[Variable]:
    """The sandbox imports nothing of ours, so its few settings are a dataclass."""
    account = (
        "The account of every {} number that was not registered: JSON, as `PUT /sandbox/{}/numbers/{{number}}` takes."
    )
    meanings = {
        "host": "Where it listens; loopback only.",
        "port": "0 takes a free port.",
        "twilio_account": account.format("Twilio", "twilio"),
        "telnyx_account": account.format("Telnyx", "telnyx"),
    }
    return [
        Variable(f"{PREFIX}SANDBOX_{field.name.upper()}", _text(field.default), meanings[field.name])
        for field in fields(SandboxSettings)
    ]


def page() -> str:
    """`docs/settings.md`."""
    shared = list(variables(ServiceSettings))
    sections = [_section("Every service", shared)]
    for service, model in SERVICES.items():
        sections.append(_section(service, [each for each in variables(model) if each not in shared]))
    sections.append(_section("sandbox", sandbox_variables()))
    return "\n".join([_HEAD, *sections])


def _section(title: str, rows: list[Variable]) -> str:
    table = ["| variable | default | meaning |", "| --- | --- | --- |", *(each.row() for each in rows)]
    return "\n".join([f"## {title}", "", *table, ""])
