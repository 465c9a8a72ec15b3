"""Schemas of tools are sent in the form that every vendor takes, and refused when written where none can be made."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from calliope.contracts.base import STORED
from calliope.contracts.document.tools import CustomTool
from calliope_call_worker.providers.llm.anthropic_body import messages_body
from calliope_call_worker.providers.llm.base import LlmRequest, ToolSpec, UserMessage
from calliope_call_worker.providers.llm.chat_body import chat_body
from calliope_call_worker.providers.llm.gemini_body import content_body
from calliope_call_worker.providers.llm.quirks import OPENAI
from calliope_call_worker.providers.llm.schemas import answer_schema, tool_schema
from calliope_sandbox.vendors.openai_checks import refuse_body

BED: dict[str, Any] = {"type": "object", "properties": {"bed": {"type": "string"}}, "required": ["bed"]}
FLOOR: dict[str, Any] = {"properties": {"floor": {"type": "integer"}}, "required": ["floor"]}
BOTH = {"bed": {"type": "string"}, "floor": {"type": "integer"}}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (FLOOR, {"type": "object", **FLOOR}),
        (BED, BED),
        (
            {"properties": {"beds": {"type": "array"}}},
            {"type": "object", "properties": {"beds": {"type": "array", "items": {}}}},
        ),
        (
            {"properties": {"room": {"type": ["object", "null"]}, "any": True}},
            {"type": "object", "properties": {"room": {"type": ["object", "null"], "properties": {}}, "any": {}}},
        ),
        ({"required": ["bed"]}, {"type": "object", "required": ["bed"], "properties": {"bed": {}}}),
        ({"allOf": [BED, FLOOR]}, {"type": "object", "properties": BOTH, "required": ["bed", "floor"]}),
        ({"anyOf": [BED, FLOOR]}, {"type": "object", "properties": BOTH}),
        ({"$ref": "#/$defs/bed", "$defs": {"bed": BED}}, {**BED, "$defs": {"bed": BED}}),
        ({"properties": {"enum": {"type": "string"}}}, {"type": "object", "properties": {"enum": {"type": "string"}}}),
    ],
)
def test_a_schema_is_sent_as_all_vendors_take_it(written: dict[str, Any], sent: dict[str, Any]) -> None:
    before = orjson.dumps(written)
    assert tool_schema(written) == sent
    assert orjson.dumps(written) == before
    request = LlmRequest("", (UserMessage("Hi"),), tools=(ToolSpec("rooms", "Rooms.", written),))
    chat = orjson.loads(chat_body(request, "gpt-4o", OPENAI))
    assert refuse_body(chat) is None
    assert chat["tools"][0]["function"]["parameters"] == sent
    assert orjson.loads(messages_body(request, "claude-haiku-5-5"))["tools"][0]["input_schema"] == sent
    declared = orjson.loads(content_body(request, "gemini-3.5-flash-lite"))["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"]["type"] == "object"


@pytest.mark.parametrize(
    "schema",
    [{"type": "array", "items": BED}, {"enum": ["yes"]}, {"type": ["object", "null"]}, {"anyOf": [BED, {"const": 1}]}],
)
def test_an_answer_that_need_not_be_an_object_is_not_asked_for_by_one(schema: dict[str, Any]) -> None:
    assert answer_schema(schema) is None
    assert "response_format" not in orjson.loads(chat_body(LlmRequest("", (), schema=schema), "gpt-4o", OPENAI))


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert answer_schema({"$ref": "#"}) is None
    assert tool_schema({"$ref": "#"}) == {"type": "object", "properties": {}}


TOOL: dict[str, Any] = {"name": "rooms", "description": "Free rooms.", "url": "https://example.com/rooms"}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"type": "array", "items": BED}, "type at the top must be object"),
        ({"type": ["object", "null"]}, "type at the top must be object"),
        ({"enum": ["single", "double"]}, "enum at the top allows no object"),
        ({"properties": {"bed": {"enum": []}}}, "enum at /properties/bed lists nothing"),
    ],
)
def test_a_schema_that_no_vendor_can_take_is_refused_when_written(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CustomTool.model_validate({**TOOL, "parameters": parameters})
    if parameters.get("properties") is None:
        assert CustomTool.model_validate({**TOOL, "parameters": parameters}, context=STORED).parameters == parameters
