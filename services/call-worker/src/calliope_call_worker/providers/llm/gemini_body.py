"""The body of a Gemini request, from our neutral conversation. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import orjson

from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    LlmRequest,
    Message,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from calliope_call_worker.providers.llm.history import alternating, arguments_of
from calliope_call_worker.providers.llm.schemas import answer_schema, plain_schema, tool_schema

MAX_STOPS: Final = 5
FOREIGN_CALL: Final = "skip_thought_signature_validator"
"""What the vendor documents to stand for the signature of a call that another model made."""
_SCHEMA_KEYWORDS: Final = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "required"}
    | {"properties", "additionalProperties", "propertyOrdering", "items", "prefixItems", "minItems", "maxItems"}
    | {"minimum", "maximum", "anyOf", "oneOf"}
)
_NAMED_SCHEMAS: Final = frozenset({"properties", "$defs"})


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose name fits `pattern`: how to keep them from thinking, and whether sampling settings act.

    `signs`: calls carry a thought signature that must come back with them.
    """

    pattern: re.Pattern[str]
    thinking: tuple[tuple[str, Any], ...] = (("thinkingLevel", "low"),)
    samples: bool = False
    signs: bool = True


# Sources: the model pages at ai.google.dev and docs.cloud.google.com. Penalties are refused by all of them.
FAMILIES: Final = (
    Family(re.compile(r"gemini-2\.5-pro"), (("thinkingBudget", 128),), samples=True, signs=False),
    Family(re.compile(r"gemini-2\.5"), (("thinkingBudget", 0),), samples=True, signs=False),
    Family(re.compile(r"gemini-3.*flash-lite"), (("thinkingLevel", "minimal"),)),
    Family(re.compile(r"gemini-3(\.[0-5])?-flash"), (("thinkingLevel", "minimal"),), samples=True),
    Family(re.compile(r"gemini-3(\.[0-5])?-"), samples=True),
    Family(re.compile(r"gemini-")),  # from 3.6 on: minimal is refused, sampling ignored or refused
)
_OTHER: Final = Family(re.compile(""), (), samples=True, signs=False)


def family_of(model: str) -> Family:
    """The family of a model; one that does not think when none fits."""
    return next((family for family in FAMILIES if family.pattern.match(model)), _OTHER)


def content_body(request: LlmRequest, model: str) -> bytes:
    """The request as JSON, with nothing in it that this model refuses."""
    family = family_of(model)
    config: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
    if family.samples:
        config["temperature"] = request.temperature
        if request.top_p is not None:
            config["topP"] = request.top_p
    if request.stop:
        config["stopSequences"] = list(request.stop[:MAX_STOPS])
    if family.thinking:
        config["thinkingConfig"] = dict(family.thinking)
    body: dict[str, Any] = {
        "contents": list(_contents(alternating(request.messages), family)),
        "generationConfig": config,
    }
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if request.schema is not None:
        shape = answer_schema(request.schema) or plain_schema(request.schema)  # lists are taken here, too
        config |= {"responseMimeType": "application/json", "responseJsonSchema": known_schema(shape)}
    elif request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    return orjson.dumps(body)


def known_schema(schema: Any) -> Any:
    """The part of a JSON Schema that the vendor reads; the rest may be refused."""
    if isinstance(schema, list):
        return [known_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            known[keyword] = {name: known_schema(one) for name, one in value.items()}
        elif keyword == "const":
            known["enum"] = [value]
        elif keyword in _SCHEMA_KEYWORDS:
            known[keyword] = value if keyword in {"enum", "required"} else known_schema(value)
    return known


def _contents(messages: tuple[Message, ...], family: Family) -> Iterator[dict[str, Any]]:
    """Results of tools are a content of their own, as many as there were calls."""
    for kind, group in groupby(messages, type):
        parts = [part for message in group for part in _parts(message, family)]
        yield {"role": "model" if kind is AssistantMessage else "user", "parts": parts}


def _parts(message: Message, family: Family) -> list[dict[str, Any]]:
    match message:
        case UserMessage(text):
            return [{"text": text}]
        case ToolResult(tool_call_id, name, content):
            answer = {"id": tool_call_id, "name": name, "response": {"output": content}}
            return [{"functionResponse": answer}]
        case AssistantMessage(text, tool_calls):
            said = [{"text": text}] if text.strip() else []
            return said + [_call(call, family, first=number == 0) for number, call in enumerate(tool_calls)]


def _call(call: ToolCall, family: Family, *, first: bool) -> dict[str, Any]:
    """A call; of parallel ones only the first is signed."""
    part: dict[str, Any] = {"functionCall": {"id": call.id, "name": call.name, "args": arguments_of(call)}}
    signature = _signature(call.opaque) or (FOREIGN_CALL if first and family.signs else None)
    return part if signature is None else {**part, "thoughtSignature": signature}


def _signature(opaque: str | None) -> str | None:
    """In `opaque` as Gemini's chat completions layer writes it, so that both sides understand each other's calls."""
    try:
        signature = orjson.loads(opaque)["google"]["thought_signature"] if opaque else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return signature if isinstance(signature, str) else None


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": known_schema(tool_schema(tool.parameters)),
    }
