"""What Anthropic refuses in a messages request. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from calliope_sandbox.vendors.anthropic_wire import error_body
from calliope_sandbox.vendors.replies import Refusal
from calliope_sandbox.vendors.rest import MISSING
from calliope_sandbox.vendors.schema_checks import not_of_2020_12

_Json = dict[str, Any]
RETIRED = "claude-2"
"""Models whose name begins so are in the catalogue, and are not served."""
_VERSIONS = ("2023-06-01", "2026-10-21")
_FIELDS = frozenset(
    {"model", "max_tokens", "messages", "system", "stream", "stop_sequences", "metadata", "tools", "tool_choice"}
    | {"temperature", "top_p", "top_k", "thinking", "output_config", "service_tier", "cache_control"}
)
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# Per family: which `thinking.type` is taken, whether it thinks unasked, and whether sampling settings are taken.
_ALWAYS_THINKS = re.compile(r"claude-(opus-5-5|fable|mythos)")
_THINKS_UNASKED = re.compile(r"claude-(haiku|sonnet|opus)-5")
_NO_SAMPLING = re.compile(r"claude-((haiku|sonnet|opus)-5|opus-4-[78]|fable|mythos)")
_PREFILLS = re.compile(r"claude-(3|(haiku|sonnet|opus)-4-[0-5]\b)")


def refuse_key(headers: Mapping[str, str], rejected: tuple[str, ...]) -> Refusal | None:
    """401 unless a key is there, in either header, and it does not begin with a rejected word."""
    key = key_of(headers)
    if not key:
        return Refusal(401, error_body("x-api-key header is required", "authentication_error"))
    return Refusal(401, error_body("invalid x-api-key", "authentication_error")) if key.startswith(rejected) else None


def key_of(headers: Mapping[str, str]) -> str:
    """The key, in the header of old or as a bearer token."""
    return headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ").strip()


def refuse_version(version: str | None) -> Refusal | None:
    """400 unless the API is asked for in a version that it has."""
    if version in _VERSIONS:
        return None
    return _bad("anthropic-version: header is required" if version is None else "anthropic-version: not a version")


def no_such_model(model: str) -> Refusal:
    """404 for a model that does not exist, or not for this key."""
    return Refusal(404, error_body(f"model: {model}", "not_found_error"))


def refuse_options(body: Any, names: tuple[str, ...]) -> Refusal | None:
    """400 that names the first of these parameters which is there."""
    name = next((name for name in names if isinstance(body, dict) and name in body), None)
    return None if name is None else _bad(f"{name}: is not supported on this model")


def refuse_body(body: Any, version: str | None) -> Refusal | None:
    """400 or 404 for what the API does not take."""
    if version not in _VERSIONS:
        return refuse_version(version)
    if not isinstance(body, dict):
        return _bad("The request body is not valid JSON")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            return _bad(f"{name}: Field required")
    if unknown := sorted(set(body) - _FIELDS):
        return _bad(f"{unknown[0]}: Extra inputs are not permitted")
    model = str(body["model"])
    if model.startswith((*MISSING, RETIRED)):
        return no_such_model(model)
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 0:
        return _bad("max_tokens: Input should be greater than or equal to 0")
    return (
        _sampling(body, model, version)
        or _thinking(body, model)
        or _tools(body)
        or _messages(body["messages"])
        or _prefill(body["messages"], model)
    )


def _sampling(body: _Json, model: str, version: str) -> Refusal | None:
    for name, neutral in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        value = body.get(name)
        if value is None:
            continue
        if version != "2023-06-01" or (_NO_SAMPLING.match(model) and value != neutral):
            return _bad(f"{name}: is not supported on this model")
        if name != "top_k" and not 0 <= value <= 1:
            return _bad(f"{name}: range: 0..1")
    if body.get("temperature") is not None and body.get("top_p") is not None:
        return _bad("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if any(not stop.strip() for stop in body.get("stop_sequences") or ()):
        return _bad("stop_sequences: each stop sequence must contain non-whitespace")
    return None


def _thinking(body: _Json, model: str) -> Refusal | None:
    kind = (body.get("thinking") or {}).get("type")
    always = _ALWAYS_THINKS.match(model) is not None
    refused = {"enabled"} if _NO_SAMPLING.match(model) else set()
    if always or model.startswith("claude-sonnet-5-5"):
        refused.add("disabled")
    if always or not model.startswith("claude-sonnet-5-5"):
        refused.add("between_tools")
    if kind in refused:
        return _bad(f'"thinking.type.{kind}" is not supported for this model.')
    thinks = always or kind in {"adaptive", "enabled"} or (kind is None and _THINKS_UNASKED.match(model))
    if thinks and (body.get("tool_choice") or {}).get("type") in {"any", "tool"}:
        return _bad("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def _tools(body: _Json) -> Refusal | None:
    names = []
    for number, tool in enumerate(body.get("tools") or ()):
        names.append(tool.get("name"))
        if not _NAME.fullmatch(str(tool.get("name", ""))):
            return _bad(f"tools.{number}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema") or {}
        if schema.get("type") != "object":
            return _bad(f"tools.{number}.custom.input_schema.type: Input should be 'object'")
        if {"oneOf", "allOf", "anyOf"} & schema.keys():
            return _bad(f"tools.{number}.custom.input_schema: does not support oneOf, allOf, or anyOf at the top level")
        if problem := not_of_2020_12(schema):
            text = "JSON schema is invalid. It must match JSON Schema draft 2020-12"
            return _bad(f"tools.{number}.custom.input_schema: {text} ({problem})")
    forced = (body.get("tool_choice") or {}).get("name")
    if len(set(names)) != len(names):
        return _bad("tools: Tool names must be unique.")
    return _bad(f"Tool '{forced}' not found in provided tools") if forced is not None and forced not in names else None


def _messages(messages: Any) -> Refusal | None:
    if not isinstance(messages, list) or not messages:
        return _bad("messages: at least one message is required")
    waiting: list[str] = []
    used: set[str] = set()
    for number, (role, blocks) in enumerate(_turns(messages)):
        where = f"messages.{number}"
        if role not in ("user", "assistant"):
            return _bad(f"{where}: Input should be 'user' or 'assistant'")
        if number == 0 and role != "user":
            return _bad('messages: first message must use the "user" role')
        results = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
        if missing := [id_ for id_ in waiting if id_ not in results[: len(waiting)]]:
            text = "`tool_use` ids were found without `tool_result` blocks immediately after"
            return _bad(f"messages.{number - 1}: {text}: {', '.join(missing)}.")
        if set(results) - set(waiting):
            return _bad(f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
        waiting = []
        for block in blocks:
            if block.get("type") == "text" and not block.get("text"):
                return _bad("messages: text content blocks must be non-empty")
            if block.get("type") == "tool_use":
                if not _ID.fullmatch(str(block.get("id", ""))) or not isinstance(block.get("input"), dict):
                    return _bad(f"{where}.content: `tool_use` needs an id of letters, digits, _ and -, and an input")
                if block["id"] in used:
                    return _bad(f"{where}.content: `tool_use` ids must be unique")
                used.add(block["id"])
                waiting.append(block["id"])
    if waiting:
        return _bad(f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(waiting)}.")
    return None


def _prefill(messages: list[_Json], model: str) -> Refusal | None:
    if messages[-1].get("role") != "assistant" or _PREFILLS.match(model):
        return None
    text = "This model does not support assistant message prefill. The conversation must end with a user message."
    return _bad(text)


def _turns(messages: list[_Json]) -> list[tuple[str, list[_Json]]]:
    """Consecutive messages of one role are one turn."""
    turns: list[tuple[str, list[_Json]]] = []
    for message in messages:
        role, content = message.get("role", ""), message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return turns


def _bad(message: str) -> Refusal:
    return Refusal(400, error_body(message, "invalid_request_error"))
