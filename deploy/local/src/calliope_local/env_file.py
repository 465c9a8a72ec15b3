"""Reads `.env`: names and values as python-dotenv understands them, and a sentence for each name that nobody reads."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel

from calliope.settings import ServiceSettings
from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_local.vendors import VENDORS
from calliope_webhooks.settings import WebhooksSettings

OPTIONS: Final = ("PUBLIC_URL", "LLM", "LLM_MODEL", "LLM_API_KEY")
"""What the command takes too; the command wins."""
WORKER_PREFIXES: Final = ("CALLIOPE_PROVIDERS__", "CALLIOPE_CARRIERS__")
_CLOSE: Final = 0.75


class EnvFileError(ValueError):
    """A file that cannot be read; the message names it and the line."""


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a file says. `values` has no empty ones; `remarks` are sentences for whom it concerns."""

    name: str = ""
    values: dict[str, str] | None = None
    empty: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()

    def get(self, *names: str) -> tuple[str, str] | None:
        """The first of these names that has a value, and the value."""
        found = self.values or {}
        return next(((name, found[name]) for name in names if name in found), None)


def read_env_file(file: Path) -> EnvFile:
    """Raises: EnvFileError."""
    try:
        with file.open(encoding="utf-8") as stream:
            wrong = [binding.original.line for binding in parse_stream(stream) if binding.error]
        found = dotenv_values(file)
    except FileNotFoundError as exc:
        raise EnvFileError(f"{file} is not there: copy .env.local.example to it, and fill in what you have") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvFileError(f"{file} cannot be read: {exc}") from exc
    if wrong:
        raise EnvFileError(f"{file}, line {wrong[0]}: this is no NAME=value")
    values = {name: value.strip() for name, value in found.items() if value and value.strip()}
    return EnvFile(str(file), values, frozenset(found) - frozenset(values), tuple(_remarks(file, values)))


def _remarks(file: Path, values: Iterable[str]) -> Iterator[str]:
    usual = {name for vendor in VENDORS for names in vendor.usual.values() for name in names}
    families = tuple({family for vendor in VENDORS for family in vendor.families})
    ours = set(known_variables())
    own = sorted(name for name in values if name in ours and not name.startswith(WORKER_PREFIXES))
    if own:
        yield f"{file}: `make up` sets {', '.join(own)} itself; what the file says is for production."
    for name in values:
        if name in ours or name in usual or name in OPTIONS:
            continue
        near = difflib.get_close_matches(name, {*ours, *usual, *OPTIONS}, n=1, cutoff=_CLOSE)
        if near:
            yield f"{file}: nobody reads {name}; did you mean {near[0]}?"
        elif name.startswith(("CALLIOPE_", *families)):
            yield f"{file}: nobody reads {name}."


def known_variables() -> Iterator[str]:
    """Every variable that a service reads."""
    for settings in (ServiceSettings, GatewaySettings, AssistantsSettings, WorkerSettings, WebhooksSettings):
        yield from _names(settings, "CALLIOPE_")


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        part: Any = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from _names(part, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"
