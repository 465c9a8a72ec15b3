"""OpenAPI 3.1, made from the routes and the contracts, so that it cannot say anything else than what is served."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from calliope.contracts.assistants import Assistant, AssistantPage
from calliope.contracts.base import Event
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.errors import FieldProblem
from calliope_gateway.http.examples import EVENT, request_example, response_example
from calliope_gateway.http.routes import Route

_REF: Final = "#/components/schemas/{model}"
_ERRORS: Final = {
    "400": "The request is malformed",
    "401": "No key, or not a valid one",
    "403": "The key may not do this",
    "404": "There is no such thing in your organization",
    "409": "It clashes with what is there",
    "412": "The document has another revision than If-Match says",
    "413": "The body is too large",
    "422": "The request says something that cannot be; `errors` names the fields",
    "429": "Too many requests; wait as Retry-After says",
    "503": "A part is away, nothing was changed; wait as Retry-After says",
    "504": "No answer in time; repeat with the same Idempotency-Key",
}
_PROBLEM: Final = {
    "type": "object",
    "description": "An error (RFC 9457): a stable code, words for a person, and the fields that are to blame.",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`; `code` says more."},
        "title": {"type": "string", "description": "Name of the HTTP status."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "Stable; match on this."},
        "detail": {"type": "string", "description": "What went wrong, and what to do."},
        "instance": {"type": "string", "description": "Path of the request."},
        "errors": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/FieldProblem"},
            "description": "Each field that was refused, with what it must be.",
        },
    },
}
_PROBLEM_EXAMPLE: Final = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "code": "invalid",
    "detail": "the assistant document was refused",
    "instance": "/api/v1/assistants",
    "errors": [
        {
            "path": "welcome_message",
            "message": "unknown field",
            "hint": "did you mean 'llm_settings.welcome_message'?",
        },
        {"path": "max_idle_messages", "message": "must be a whole number from 0 to 100, such as 3"},
    ],
}
_PATH_PARTS: Final = {
    "assistant_id": ("Id of the assistant.", "asst_01jd0000000000000000000000"),
    "call_id": ("Id of the call.", "call_01jd0000000000000000000000"),
    "delivery_id": ("Id of the delivery.", "dlv_01jd0000000000000000000000"),
    "key_id": ("Id of the API key, not the key itself.", "key_01jd0000000000000000000000"),
    "number": ("The telephone number in international form; `+` is written `%2B` in a URL.", "+15551234567"),
}
_WEBHOOK: Final = """\
Sent to the assistant's `webhook_url`. Before you read the body, verify the header `webhook-signature` with the
assistant's `webhook_secret`, as Standard Webhooks says; libraries for it exist in most languages. In Python:
`Webhook(secret).verify(body, headers)` of the package `standardwebhooks`, with the body's bytes as they came.
Answer with any 2xx within 15 seconds and do the work afterwards; anything else is tried again for three days.
An event can come twice and out of order: recognise a repetition by `webhook-id`, sort by `sequence`."""
_WEBHOOK_HEADERS: Final = (
    ("webhook-id", "Id of the event; the same in every attempt.", "evt_01jd0000000000000000000000"),
    ("webhook-timestamp", "When this attempt was signed, in seconds since 1970.", "1769860817"),
    (
        "webhook-signature",
        "One signature per valid secret, separated by blanks.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)


def build(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """The document."""
    routes = tuple(routes)
    models = {model for route in routes for model in (route.response, route.body) if model is not None}
    schemas = _schemas({*models, AssistantSpec, Event, FieldProblem})
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Calliope",
            "version": version,
            "description": "Voice assistants on the telephone: one JSON document describes an assistant.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "webhooks": {
            "event": {
                "post": {
                    "summary": "An event, signed as Standard Webhooks says",
                    "description": " ".join(_WEBHOOK.split("\n")),
                    "parameters": [
                        {
                            "name": name,
                            "in": "header",
                            "required": True,
                            "description": description,
                            "schema": {"type": "string"},
                            "example": example,
                        }
                        for name, description, example in _WEBHOOK_HEADERS
                    ],
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Event"}, "example": EVENT}
                        }
                    },
                    "responses": {"2XX": {"description": "Received; anything else is tried again"}},
                }
            }
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "cal_live_…"}},
        },
    }


def _schemas(models: set[type[BaseModel]]) -> dict[str, Any]:
    ordered = sorted(models, key=lambda model: model.__name__)
    _, top = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    schemas: dict[str, Any] = top["$defs"]
    server, spec = schemas[Assistant.__name__], schemas[AssistantSpec.__name__]
    server["properties"].pop("document")
    server["required"].remove("document")
    schemas[Assistant.__name__] = {  # one object: a schema that refuses unknown fields cannot be a part of another
        **server,
        "properties": {**server["properties"], **spec["properties"]},
        "required": [*server["required"], *spec["required"]],
    }
    schemas[AssistantPage.__name__]["properties"]["items"]["items"] = {"$ref": "#/components/schemas/Assistant"}
    schemas["Problem"] = {**_PROBLEM, "examples": [_PROBLEM_EXAMPLE]}
    return schemas


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route),
        "security": [{"bearer": [] if route.scope is None else [route.scope.value]}],
    }
    if route.scope is not None:
        operation["x-scope"] = route.scope.value
    if route.body is not None:
        kind = "application/merge-patch+json" if route.merge_patch else "application/json"
        schema = {"$ref": f"#/components/schemas/{route.body.__name__}"}
        if route.merge_patch:
            schema = {"type": "object", "description": f"Any part of {route.body.__name__}; null restores the default."}
        content = {"schema": schema, "example": request_example(route.operation_id, route.body)}
        operation["requestBody"] = {"required": True, "content": {kind: content}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters = [_path_part(name) for name in re.findall(r"{(\w+)}", route.path)]
    if route.query is not None:
        for name, schema in route.query.model_json_schema(ref_template=_REF)["properties"].items():
            inlined = _inline(schema, route.query)
            told = {"description": inlined.pop("description")} if "description" in inlined else {}
            parameters.append({"name": name, "in": "query", **told, "schema": inlined})
    if route.method != "GET":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 255},
                "example": "order-17-try-1",
                "description": "Repeating a request with the same key within 24 hours has one effect and one answer.",
            }
        )
    if route.guarded:
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "schema": {"type": "string"},
                "example": '"7"',
                "description": "The ETag that was read: the write is refused (412) when someone else wrote since.",
            }
        )
    return parameters


def _path_part(name: str) -> dict[str, Any]:
    part: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if name in _PATH_PARTS:
        part["description"], part["example"] = _PATH_PARTS[name]
    return part


def _inline(schema: dict[str, Any], query: type[BaseModel]) -> dict[str, Any]:
    """Query schemas are small: their references are resolved in place."""
    definitions = query.model_json_schema().get("$defs", {})
    if "anyOf" in schema:
        kept = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return {**_inline(kept[0], query), **{k: v for k, v in schema.items() if k not in {"anyOf", "default"}}}
    reference = schema.get("$ref")
    inlined = dict(definitions[reference.rsplit("/", 1)[1]]) if reference else {}
    return {**inlined, **{name: value for name, value in schema.items() if name != "$ref"}}


def _responses(route: Route) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if route.response is not None:
        schema = {"$ref": f"#/components/schemas/{route.response.__name__}"}
        done["content"] = {"application/json": {"schema": schema, "example": response_example(route.response)}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    codes = {"400", "401", "403", "422", "429", "503", "504"}
    codes |= {"404"} if "{" in route.path else set()
    codes |= {"409", "413"} if route.method != "GET" else set()
    codes |= {"412"} if route.guarded else set()
    return {str(route.status): done} | {
        code: {"description": _ERRORS[code], "content": problem} for code in sorted(codes)
    }
