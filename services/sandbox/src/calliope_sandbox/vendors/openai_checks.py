"""What OpenAI refuses in a chat completion request. Pure."""

import re
from typing import Any

import orjson

from calliope_sandbox.vendors.openai_wire import error_body
from calliope_sandbox.vendors.replies import Refusal
from calliope_sandbox.vendors.rest import MISSING

_Json = dict[str, Any]
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REASONING = re.compile(r"(gpt-5\.6|gpt-6|o\d)")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}


def refuse_key(authorization: str | None, rejected: tuple[str, ...]) -> Refusal | None:
    """401 unless a bearer key is there and it does not begin with a rejected word."""
    key = (authorization or "").removeprefix("Bearer ").strip()
    if not key or not (authorization or "").startswith("Bearer "):
        return Refusal(401, error_body("You didn't provide an API key.", "invalid_request_error"))
    if key.startswith(rejected):
        body = error_body("Incorrect API key provided.", "invalid_request_error", code="invalid_api_key")
        return Refusal(401, body)
    return None


def no_such_model(model: str) -> Refusal:
    """404 for a model that does not exist, or not for this key."""
    text = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, error_body(text, "invalid_request_error", code="model_not_found"))


def refuse_options(body: Any, names: tuple[str, ...]) -> Refusal | None:
    """400 that names the first of these parameters which is there."""
    name = next((name for name in names if isinstance(body, dict) and name in body), None)
    if name is None:
        return None
    text = f"Unsupported parameter: '{name}' is not supported with this model."
    return _bad(text, name, "unsupported_parameter")


def refuse_old_calls(body: Any) -> Refusal | None:
    """400 for an earlier tool call whose arguments are not the text of a JSON object, as servers say that read them."""
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in messages or ():
        for call in message.get("tool_calls") or ():
            try:
                read = orjson.loads(call["function"]["arguments"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                read = None
            if not isinstance(read, dict) or not _NAME.fullmatch(str(call["function"].get("name"))):
                return _bad("Invalid tool call: its arguments are no JSON object, or its name is none", None)
    return None


def refuse_body(body: Any, *, vendor: str = "openai") -> Refusal | None:
    """400 or 404 for what the API does not take."""
    if not isinstance(body, dict):
        return _bad("We could not parse the JSON body of your request.", None)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return _bad("you must provide a model parameter", None)
    if model.startswith(MISSING):
        return no_such_model(model)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return _bad("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    for name, (lowest, highest) in _RANGES.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and lowest <= value <= highest):
            return _bad(f"Invalid '{name}': expected a value between {lowest} and {highest}.", name, "invalid_value")
    if body.get("stream_options") is not None and not body.get("stream"):
        return _bad("'stream_options' is only allowed when 'stream' is enabled.", "stream_options")
    return (
        _reasoning_trap(body, model, vendor)
        or _messages(body["messages"])
        or _tools(body.get("tools"))
        or _response_format(body.get("response_format"))
    )


def _reasoning_trap(body: _Json, model: str, vendor: str) -> Refusal | None:
    if vendor == "groq" and "gpt-oss" in model and body.get("reasoning_effort") == "none":
        return _bad("`reasoning_effort` must be one of `low`, `medium`, or `high`", "reasoning_effort")
    if vendor != "openai" or not _REASONING.match(model):
        return None
    if body.get("max_tokens") is not None:
        text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        return _bad(text, "max_tokens", "unsupported_parameter")
    if body.get("tools") and body.get("reasoning_effort") != "none":
        text = f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions."
        return _bad(text, "reasoning_effort")
    return None


def _messages(messages: list[Any]) -> Refusal | None:
    waiting: list[str] = []
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        where = f"messages[{number}]"
        if role not in ("system", "developer", "user", "assistant", "tool", "function"):
            return _bad(f"Invalid value: {role!r}.", f"{where}.role", "invalid_value")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                return _bad(f"Invalid parameter: {text}", f"{where}.role")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        content, calls = message.get("content"), message.get("tool_calls")
        if content is None and not (role == "assistant" and calls):
            return _bad("Invalid value for 'content': expected a string, got null.", f"{where}.content")
        waiting = [call.get("id", "") for call in calls or []]
    if waiting:
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each one"
        return _bad(f"{text}. (No response found for: {', '.join(waiting)})", "messages")
    return None


def _tools(tools: Any) -> Refusal | None:
    for number, tool in enumerate(tools or []):
        function = tool.get("function") or {}
        where = f"tools[{number}].function"
        if not _NAME.fullmatch(str(function.get("name", ""))):
            return _bad("Invalid function name: it must match ^[a-zA-Z0-9_-]{1,64}$.", f"{where}.name", "invalid_value")
        if (function.get("parameters") or {"type": "object"}).get("type") != "object":
            text = (
                f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"'."
            )
            return _bad(text, f"{where}.parameters", "invalid_function_parameters")
        if problem := _not_a_tools(function.get("parameters")):
            text = f"Invalid schema for function '{function['name']}': {problem}"
            return _bad(text, f"{where}.parameters", "invalid_function_parameters")
    return None


def _not_a_tools(schema: Any, path: tuple[str, ...] = ()) -> str | None:
    """What the schema of a function may not leave out, strict or not."""
    if not isinstance(schema, dict):
        return None
    if not path and (found := {"oneOf", "anyOf", "allOf", "enum", "not"} & schema.keys()):
        return f"schema must not have {sorted(found)[0]!r} at the top level."
    if schema.get("type") == "object" and "properties" not in schema:
        return f"In context={path}, object schema missing properties."
    if schema.get("type") == "array" and "items" not in schema:
        return f"In context={path}, array schema missing items."
    below: list[tuple[tuple[str, ...], Any]] = [
        (("properties", name), value) for name, value in (schema.get("properties") or {}).items()
    ]
    below += [(("items",), schema.get("items"))]
    return next((problem for step, value in below if (problem := _not_a_tools(value, path + step))), None)


def _response_format(asked: Any) -> Refusal | None:
    if not isinstance(asked, dict) or asked.get("type") != "json_schema":
        return None
    named = asked.get("json_schema") or {}
    if not _NAME.fullmatch(str(named.get("name", ""))):
        return _bad("Missing required parameter: 'response_format.json_schema.name'.", "response_format.json_schema")
    schema = named.get("schema") or {}
    if schema.get("type") != "object":
        text = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {schema.get('type')!r}'."
        return _bad(f"Invalid schema for response_format '{named['name']}': {text}", "response_format")
    if problem := _not_a_tools(schema):
        text = f"Invalid schema for response_format '{named['name']}': {problem}"
        return _bad(text, "response_format", "invalid_json_schema")
    if named.get("strict") and (problem := _not_strict(named.get("schema") or {}, ())):
        text = f"Invalid schema for response_format '{named['name']}': {problem}"
        return _bad(text, "response_format", "invalid_json_schema")
    return None


def _not_strict(schema: Any, path: tuple[str, ...]) -> str | None:
    """What a strict schema may not leave out."""
    if not isinstance(schema, dict):
        return None
    properties = schema.get("properties") or {}
    if schema.get("type") == "object" or properties:
        if schema.get("additionalProperties") is not False:
            return f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
        if missing := sorted(set(properties) - set(schema.get("required") or [])):
            return f"In context={path}, 'required' must include every key in properties. Missing '{missing[0]}'."
    below: list[tuple[tuple[str, ...], Any]] = [(("properties", name), value) for name, value in properties.items()]
    below += [((key,), schema[key]) for key in ("items",) if key in schema]
    below += [(("anyOf", str(number)), value) for number, value in enumerate(schema.get("anyOf") or [])]
    below += [(("$defs", name), value) for name, value in (schema.get("$defs") or {}).items()]
    return next((problem for name, value in below if (problem := _not_strict(value, path + name))), None)


def _bad(message: str, param: str | None, code: str | None = None) -> Refusal:
    return Refusal(400, error_body(message, "invalid_request_error", code=code, param=param))
