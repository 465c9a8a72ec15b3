"""Every environment variable of every service, read from the settings models: `docs/settings.md`, `.env.example`."""

from typing import Final

from calliope.configuration.variables import Variable, variables
from calliope.settings import ServiceSettings
from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_sandbox import settings as sandbox
from calliope_webhooks.settings import WebhooksSettings

SERVICES: Final[dict[str, type[ServiceSettings]]] = {
    "gateway": GatewaySettings,
    "assistants": AssistantsSettings,
    "call-worker": WorkerSettings,
    "webhooks": WebhooksSettings,
}
_HEAD: Final = """\
# Settings

<!-- Made from the settings models by `make snapshots`; edit their descriptions, not this page. -->

Everything is read from environment variables at start; a wrong value ends the process with the variable's name. Lists
and networks are JSON (`["10.0.0.0/8"]`). Names end in their unit: `_s` seconds, `_bytes` bytes. Defaults fit the local
stack; [`.env.example`](../.env.example) has what a production installation sets.
"""


def row(variable: Variable) -> str:
    """A line of the table."""
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.name}` | {default} | {variable.meaning.replace('|', chr(92) + '|')} |"


def sandbox_variables() -> list[Variable]:
    """The sandbox imports nothing of ours, so it tells its few settings itself."""
    return [Variable(name, default, meaning) for name, (default, meaning) in sandbox.variables().items()]


def page() -> str:
    """`docs/settings.md`."""
    shared = list(variables(ServiceSettings))
    sections = [_section("Every service", shared)]
    for service, model in SERVICES.items():
        sections.append(_section(service, [each for each in variables(model) if each not in shared]))
    sections.append(_section("sandbox", sandbox_variables()))
    return "\n".join([_HEAD, *sections])


def _section(title: str, rows: list[Variable]) -> str:
    table = ["| variable | default | meaning |", "| --- | --- | --- |", *map(row, rows)]
    return "\n".join([f"## {title}", "", *table, ""])
