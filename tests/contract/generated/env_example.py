"""`.env.example`: what a production installation sets, and where every vendor is reached."""

import textwrap
from typing import Final

from calliope.configuration.variables import VENDORS, Variable, variables
from contract.generated.settings import SERVICES

NEEDED: Final = {
    "ENVIRONMENT": "production",
    "HTTP__HOST": "0.0.0.0",
    "NATS__URL": "nats://nats:4222",
    "NATS__USER": "",
    "NATS__PASSWORD": "",
    "NATS__REPLICAS": "3",
    "MONGO__URL": "mongodb://mongo:27017/?replicaSet=rs0",
    "TRACE__OTLP_ENDPOINT": "",
    "SEALING__CALLS_PUBLIC_KEY": "",
    "SEALING__WEBHOOKS_PUBLIC_KEY": "",
    "SEALING__PRIVATE_KEYS": "",
    "PUBLIC_URL": "https://calls.example.com",
    "MEDIA__PUBLIC_URL": "wss://worker-0.calls.example.com/media",
}
"""Values to begin with; an empty one has to be filled in."""

_HEAD: Final = """\
# What a production installation sets; all variables: docs/settings.md. Made by `make snapshots`.
# Give each service only what it reads: private keys to call-worker and webhooks (each its own), never to the others.
"""


def text() -> str:
    """The file."""
    readers: dict[Variable, list[str]] = {}
    for service, model in SERVICES.items():
        for variable in variables(model):
            readers.setdefault(variable._replace(default="") if _is_needed(variable) else variable, []).append(service)
    needed = [_needed(variable, services) for variable, services in readers.items() if _is_needed(variable)]
    vendors = [variable for variable in readers if _is_access(variable)]
    return "\n".join(
        [_HEAD, *needed, "# Vendors: the installation's own accounts, and regional or private hosts.", ""]
    ) + ("".join(f"# {variable.name}={variable.default}\n" for variable in vendors))


def _is_needed(variable: Variable) -> bool:
    return variable.name.removeprefix("CALLIOPE_") in NEEDED


def _is_access(variable: Variable) -> bool:
    parts = ("__URL", "__API_URL", "__API_KEY", "__ACCOUNT_SID", "__AUTH_TOKEN", "__CONNECTION_ID", "__PUBLIC_KEY")
    return variable.name.startswith(VENDORS) and variable.name.endswith(parts)


def _needed(variable: Variable, services: list[str]) -> str:
    readers = "every service" if len(services) == len(SERVICES) else ", ".join(services)
    value = NEEDED[variable.name.removeprefix("CALLIOPE_")]
    told = textwrap.fill(f"{readers}: {variable.meaning}", 110, initial_indent="# ", subsequent_indent="#   ")
    return f"{told}\n{variable.name}={value}\n"
