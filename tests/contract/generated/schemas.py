"""Contracts as JSON: one file per command and per event, the assistant document, both API documents, the bus."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from calliope import asyncapi
from calliope.contracts.base import CommandMessage, Event, Reply
from calliope.contracts.catalogue import COMMANDS, EVENTS
from calliope.contracts.document.spec import AssistantSpec
from calliope_gateway.http import openapi
from calliope_gateway.http.server import ROUTES, VERSION


def snapshots() -> Iterator[tuple[str, Any]]:
    """File names below `snapshots/` and what stands in each."""
    yield "assistant_spec.json", _schema(AssistantSpec)
    yield "envelopes.json", {model.__name__: _schema(model) for model in (Event, CommandMessage, Reply)}
    yield "openapi.json", openapi.build(ROUTES, version=VERSION)
    yield "asyncapi.json", asyncapi.build(version=VERSION)
    yield "bus.json", asyncapi.jetstream()
    for command in COMMANDS:
        name = re.sub(r"^calliope\.cmd\.", "", command.subject)
        shapes = {"payload": _schema(command.payload), "reply": _schema(command.reply)}
        yield f"commands/{name}.json", {"subject": command.subject, "owner": command.owner, **shapes}
    for event in EVENTS:
        name = re.sub(r"^calliope\.", "", event.type)
        yield f"events/{name}.json", {"type": event.type, "owner": event.owner, "data": _schema(event.data)}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()
