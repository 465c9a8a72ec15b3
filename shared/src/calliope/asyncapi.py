"""AsyncAPI 3.0 of the whole bus, made from the catalogue and from `streams.py`, so that it cannot say anything else.

The application described is Calliope as a whole: it receives commands and sends events.
"""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.contracts.catalogue import COMMANDS, EVENTS, CommandShape, EventShape
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.errors import Problem
from calliope.messaging.streams import DURABLES, STREAMS

Json = dict[str, Any]
_SCHEMAS: Final = "#/components/schemas"
_LOCAL_BUS: Final = (
    "Local stack (`.calliope/local.json` names the port it took). The user `reader` with the password `reader` and"
    " the inbox prefix `_INBOX.reader` reads events and nothing else."
)
_IDS: Final = {
    "organization": {"description": "Whose event it is: subscribe, permit and replay one tenant by it."},
    "entity_id": {"description": "The call, assistant, number … it is about."},
}


def build(*, version: str, local_bus: str | None = None) -> Json:
    """The document. `local_bus` is the host and port of a bus on this machine; without it the address is left open."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for command in COMMANDS:
        _add_command(command, channels, operations, messages)
    for event in EVENTS:
        _add_event(event, channels, operations, messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Calliope bus",
            "version": version,
            "description": "Commands are core NATS requests; events are kept in JetStream and read at any pace.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": _server(local_bus)},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": _schemas()},
        "x-jetstream": jetstream(),
    }


def _server(local_bus: str | None) -> Json:
    if local_bus is not None:
        return {"host": local_bus, "pathname": "", "protocol": "nats", "description": _LOCAL_BUS}
    return {
        "host": "{host}",
        "pathname": "",
        "protocol": "nats",
        "description": "The bus of this installation.",
        "variables": {
            "host": {"description": "Host and port; ask the operator.", "examples": ["nats.example.com:4222"]}
        },
    }


def jetstream() -> Json:
    """Streams, buckets and durables as the server is told; what is unset there is left out."""
    return {
        "streams": [_told(stream.config().as_dict()) for stream in STREAMS],
        "durables": [
            {"stream": durable.stream, "retry_delays_s": list(durable.retry_delays_s)}
            | _told(durable.config().as_dict())
            for durable in DURABLES
        ],
    }


def _told(config: Json) -> Json:
    return {name: value for name, value in sorted(config.items()) if value not in (None, False, [])}


def _add_command(shape: CommandShape, channels: Json, operations: Json, messages: Json) -> None:
    name = _key(shape.subject)
    messages[name] = {"summary": shape.says, "payload": command_schema(shape)}
    messages[f"{name}_reply"] = {"summary": f"Answer to {shape.subject}.", "payload": reply_schema(shape)}
    channels[name] = _channel(shape.subject, name)
    channels[f"{name}_reply"] = _channel(None, f"{name}_reply")
    operations[name] = {
        "action": "receive",
        "summary": shape.says,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "reply": {
            "address": {"location": "$message.header#/reply-to", "description": "The request's NATS inbox."},
            "channel": {"$ref": f"#/channels/{name}_reply"},
            "messages": [{"$ref": f"#/channels/{name}_reply/messages/{name}_reply"}],
        },
        "bindings": {"nats": {"queue": shape.owner}},
        "x-owner": shape.owner,
    }


def _add_event(shape: EventShape, channels: Json, operations: Json, messages: Json) -> None:
    name = f"{shape.entity.value}_{shape.name}"
    pattern = subjects.events_of(shape.entity, name=shape.name)
    address = pattern.replace("*", "{organization}", 1).replace("*", "{entity_id}", 1)
    messages[name] = {"name": shape.type, "summary": shape.says, "payload": event_schema(shape)}
    channels[name] = {**_channel(address, name), "parameters": _IDS}
    operations[name] = {
        "action": "send",
        "summary": shape.says,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "x-owner": shape.owner,
    }


def _channel(address: str | None, message: str) -> Json:
    return {"address": address, "messages": {message: {"$ref": f"#/components/messages/{message}"}}}


def _key(subject: str) -> str:
    """`assistants_create` of `calliope.cmd.assistants.create.v1`, `assistants_create_v2` of its second version."""
    *names, version = subject.split(".")[2:]
    return "_".join(names if version == "v1" else (*names, version))


def command_schema(shape: CommandShape) -> Json:
    """The envelope of a command on the bus."""
    return {
        "type": "object",
        "required": ["payload"],
        "properties": {
            "organization": {"type": ["string", "null"], "description": "Whom the command speaks for."},
            "command_id": {
                "type": ["string", "null"],
                "maxLength": 255,
                "description": "Idempotency key: twice the same has one effect and one reply.",
            },
            "payload": _ref(shape.payload),
        },
    }


def reply_schema(shape: CommandShape) -> Json:
    """The envelope of its answer: the result, or a typed error."""
    return {
        "oneOf": [
            {"type": "object", "required": ["ok"], "properties": {"ok": _ref(shape.reply)}},
            {"type": "object", "required": ["error"], "properties": {"error": _ref(Problem)}},
        ]
    }


def event_schema(shape: EventShape) -> Json:
    """The CloudEvents envelope with what this event carries."""
    return {
        "allOf": [
            _ref(Event),
            {"type": "object", "properties": {"type": {"const": shape.type}, "data": _ref(shape.data)}},
        ]
    }


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"{_SCHEMAS}/{model.__name__}"}


def _schemas() -> Json:
    models: Iterable[type[BaseModel]] = {
        AssistantSpec,
        Event,
        Problem,
        *(model for shape in COMMANDS for model in (shape.payload, shape.reply)),
        *(shape.data for shape in EVENTS),
    }
    ordered = sorted(models, key=lambda model: model.__name__)
    _, top = models_json_schema([(model, "validation") for model in ordered], ref_template=f"{_SCHEMAS}/{{model}}")
    schemas: Json = top["$defs"]
    return schemas
