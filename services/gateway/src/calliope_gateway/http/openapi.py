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
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; match on this."},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldProblem"}},
    },
}


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
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Event"}}}
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
    server = schemas[Assistant.__name__]
    server["properties"].pop("document")
    server["required"].remove("document")
    spec = {"$ref": "#/components/schemas/AssistantSpec"}
    schemas[Assistant.__name__] = {"allOf": [spec, server], "description": Assistant.__doc__}
    schemas[AssistantPage.__name__]["properties"]["items"]["items"] = {"$ref": "#/components/schemas/Assistant"}
    schemas["Problem"] = _PROBLEM
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
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        for name, schema in route.query.model_json_schema(ref_template=_REF)["properties"].items():
            parameters.append({"name": name, "in": "query", "schema": _inline(schema, route.query)})
    if route.method != "GET":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 255},
                "description": "Repeating a request with the same key within 24 hours has one effect and one answer.",
            }
        )
    if route.guarded:
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The ETag that was read: the write is refused (412) when someone else wrote since.",
            }
        )
    return parameters


def _inline(schema: dict[str, Any], query: type[BaseModel]) -> dict[str, Any]:
    """Query schemas are small: their references are resolved in place."""
    definitions = query.model_json_schema().get("$defs", {})
    if "anyOf" in schema:
        kept = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return {**{k: v for k, v in schema.items() if k not in {"anyOf", "default"}}, **_inline(kept[0], query)}
    reference = schema.get("$ref")
    return dict(definitions[reference.rsplit("/", 1)[1]]) if reference else schema


def _responses(route: Route) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if route.response is not None:
        done["content"] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.response.__name__}"}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    codes = {"400", "401", "403", "422", "429", "503", "504"}
    codes |= {"404"} if "{" in route.path else set()
    codes |= {"409", "413"} if route.method != "GET" else set()
    codes |= {"412"} if route.guarded else set()
    return {str(route.status): done} | {
        code: {"description": _ERRORS[code], "content": problem} for code in sorted(codes)
    }
