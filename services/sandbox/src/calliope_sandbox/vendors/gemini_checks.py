"""What Gemini refuses in a generateContent request. Pure."""

import base64
import binascii
import re
from typing import Any

from calliope_sandbox.vendors.gemini_wire import bad_key, error_body
from calliope_sandbox.vendors.replies import Refusal
from calliope_sandbox.vendors.rest import MISSING
from calliope_sandbox.vendors.schema_checks import not_for_gemini

_Json = dict[str, Any]
_FIELDS = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"}
)
_CONFIG = frozenset(
    {"maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "thinkingConfig", "candidateCount", "seed"}
    | {"responseMimeType", "responseJsonSchema", "responseSchema", "frequencyPenalty", "presencePenalty"}
)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_SIGNS = re.compile(r"gemini-([3-9]|flash|pro)")
_ENDS_WITH_USER = re.compile(r"gemini-(3\.([6-9])|3\.5-flash-lite|[4-9])")
_NO_MINIMAL = re.compile(r"gemini-3(\.[678]-flash$|.*-pro)")
FOREIGN = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""Documented to stand for the signature of a call that another model made."""


def refuse_key(key: str, rejected: tuple[str, ...]) -> Refusal | None:
    """403 without a key, 400 with a wrong one."""
    if not key:
        text = "Method doesn't allow unregistered callers (callers without established identity)."
        return Refusal(403, error_body(403, text))
    return Refusal(400, bad_key()) if key.startswith(rejected) else None


def signs(model: str) -> bool:
    """Whether this model's calls carry a thought signature."""
    return _SIGNS.match(model) is not None


def no_such_model(model: str) -> Refusal:
    """404 for a model that does not exist."""
    text = f"models/{model} is not found for API version v1beta, or is not supported for generateContent."
    return Refusal(404, error_body(404, text))


def refuse_options(body: Any, names: tuple[str, ...]) -> Refusal | None:
    """400 that names the first of these parameters of the generation config which is there."""
    config = (body.get("generationConfig") or {}) if isinstance(body, dict) else {}
    name = next((name for name in names if name in config), None)
    return None if name is None else _bad(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')


def refuse_body(body: Any, model: str) -> Refusal | None:
    """400 or 404 for what the API does not take."""
    if not isinstance(body, dict):
        return _bad("Invalid JSON payload received.")
    if model.startswith(MISSING):
        return no_such_model(model)
    config = body.get("generationConfig") or {}
    for given, known in ((body, _FIELDS), (config, _CONFIG)):
        if unknown := sorted(set(given) - known):
            return _bad(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    if not isinstance(body.get("contents"), list) or not body["contents"]:
        return _bad("* GenerateContentRequest.contents: contents is not specified")
    return _config(config, model) or _tools(body) or _contents(body["contents"], model)


def _config(config: _Json, model: str) -> Refusal | None:
    if config.get("frequencyPenalty") or config.get("presencePenalty"):
        return _bad("Penalty is not enabled for this model")
    if not 0 <= config.get("temperature", 0) <= 2:
        return _bad("* GenerateContentRequest.generation_config.temperature: must be in the range [0.0, 2.0].")
    if len(config.get("stopSequences") or ()) > 5:
        return _bad("* GenerateContentRequest.generation_config.stop_sequences: at most 5")
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        return _bad("Function calling or a schema with an unsupported response mime type")
    if problem := not_for_gemini(config.get("responseJsonSchema") or {}):
        return _bad(f"* GenerateContentRequest.generation_config.response_json_schema: {problem}")
    thinking = {_camel(name): value for name, value in (config.get("thinkingConfig") or {}).items()}
    if "thinkingLevel" in thinking and "thinkingBudget" in thinking:
        return _bad("You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking and not signs(model):
        return _bad("Thinking level is not supported for this model.")
    if thinking.get("thinkingLevel", "").lower() == "minimal" and _NO_MINIMAL.match(model):
        return _bad("Thinking level MINIMAL is not supported for this model.")
    if thinking.get("thinkingBudget") == 0 and "pro" in model:
        return _bad("Budget 0 is invalid. This model only works in thinking mode.")
    return None


def _camel(name: str) -> str:
    """The API takes `snake_case` too, and Google's own SDK sends some."""
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _tools(body: _Json) -> Refusal | None:
    for tool in body.get("tools") or ():
        for written in tool.get("functionDeclarations") or tool.get("function_declarations") or ():
            declared = {_camel(name): value for name, value in written.items()}
            if not _NAME.fullmatch(str(declared.get("name", ""))):
                return _bad("* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name.")
            if problem := not_for_gemini(declared.get("parametersJsonSchema") or declared.get("parameters") or {}):
                return _bad(f"* GenerateContentRequest.tools[0].function_declarations[0].{problem}")
    return None


def _contents(contents: list[_Json], model: str) -> Refusal | None:
    waiting = 0
    for number, content in enumerate(contents):
        parts, role = content.get("parts") or [], content.get("role", "user")
        where = f"* GenerateContentRequest.contents[{number}]"
        if role not in ("user", "model"):
            return _bad("Please use a valid role: user, model.")
        if not parts or any(
            not {"text", "functionCall", "functionResponse", "inlineData"} & part.keys() for part in parts
        ):
            return _bad(f"{where}.parts: required oneof field 'data' must have one initialized field")
        responses = sum("functionResponse" in part for part in parts)
        if responses != waiting:
            return _bad(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        waiting = sum("functionCall" in part for part in parts)
        if waiting and (number == 0 or contents[number - 1].get("role", "user") != "user"):
            return _bad(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
    if contents[-1].get("role") == "model" and (_ENDS_WITH_USER.match(model) or waiting):
        return _bad("Requests ending with a model turn are not supported.")
    return _signatures(contents) if signs(model) else None


def _signatures(contents: list[_Json]) -> Refusal | None:
    """Of the present turn, which begins with the last words of the user, the first call of each step is signed."""
    begun = max((number for number, content in enumerate(contents) if _is_users_words(content)), default=0)
    for content in contents[begun:]:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            name = calls[0]["functionCall"].get("name")
            return _bad(f"Function call is missing a thought_signature in functionCall parts: `default_api:{name}`.")
        if any(not _is_known(call["thoughtSignature"]) for call in calls if "thoughtSignature" in call):
            return _bad("Corrupted thought signature.")
    return None


def _is_users_words(content: _Json) -> bool:
    return content.get("role", "user") == "user" and any("text" in part for part in content["parts"])


def _is_known(signature: str) -> bool:
    if signature in FOREIGN:
        return True
    try:
        return base64.b64decode(signature, validate=True).startswith(b"sandbox:")
    except binascii.Error:
        return False


def _bad(message: str) -> Refusal:
    return Refusal(400, error_body(400, message))
