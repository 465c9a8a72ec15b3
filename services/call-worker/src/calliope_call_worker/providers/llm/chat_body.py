"""The body of a chat completions request, from our neutral conversation. Pure."""

import hashlib
from typing import Any, Final

import orjson

from calliope_call_worker.providers.llm.base import AssistantMessage, LlmRequest, Message, ToolCall, UserMessage
from calliope_call_worker.providers.llm.history import settled
from calliope_call_worker.providers.llm.quirks import Quirks
from calliope_call_worker.providers.llm.schemas import answer_schema, tool_schema

MAX_ID: Final = 40  # OpenAI refuses longer tool call ids; other vendors make longer ones


def chat_body(request: LlmRequest, model: str, quirks: Quirks) -> bytes:
    """The request as JSON, with nothing in it that this model refuses."""
    family = quirks.family(model)
    wanted: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "stop": list(request.stop) or None,
    }
    refused = quirks.refuses | family.refuses
    body: dict[str, Any] = {
        "model": model,
        "messages": chat_messages(request, quirks),
        "stream": True,
        "stream_options": dict(quirks.stream_options),
        quirks.token_limit: request.max_tokens,
        **{name: value for name, value in wanted.items() if value is not None and name not in refused},
    }
    if family.reasoning_effort is not None:
        body["reasoning_effort"] = family.reasoning_effort
    if request.tools:
        body["tools"] = chat_tools(request)
    if request.schema is not None and (shape := answer_schema(request.schema)) is not None:
        answer = {"name": "answer", "schema": shape, "strict": False}
        body["response_format"] = {"type": "json_schema", "json_schema": answer}
    return orjson.dumps(body)


def chat_messages(request: LlmRequest, quirks: Quirks) -> list[dict[str, Any]]:
    """The system prompt and the conversation."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *(_message(message, quirks) for message in settled(request.messages))]


def chat_tools(request: LlmRequest) -> list[dict[str, Any]]:
    """The tools that are offered."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool_schema(tool.parameters),
            },
        }
        for tool in request.tools
    ]


def _message(message: Message, quirks: Quirks) -> dict[str, Any]:
    if isinstance(message, UserMessage):
        return {"role": "user", "content": message.text}
    if isinstance(message, AssistantMessage):
        if not message.tool_calls:
            return {"role": "assistant", "content": message.text}
        calls = [_call(call, quirks) for call in message.tool_calls]
        return {"role": "assistant", "content": message.text or None, "tool_calls": calls}
    return {"role": "tool", "tool_call_id": _short(message.tool_call_id), "content": message.content}


def _call(call: ToolCall, quirks: Quirks) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "id": _short(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if quirks.echoes_extra and call.opaque is not None and call.opaque.startswith("{"):
        asked["extra_content"] = orjson.Fragment(call.opaque)
    return asked


def _short(id_: str) -> str:
    return id_ if len(id_) <= MAX_ID else "call_" + hashlib.sha256(id_.encode()).hexdigest()[:32]
