"""What a request to a model says, vendor differences removed: the only thing an answer may depend on. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]
_GO_ON = re.compile(r"\bcut off\b.*\bcontinue\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool returned to the model."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of the talk so far; `role` is user or assistant, `after` what tools had just returned to the latter."""

    role: str
    text: str
    after: tuple[ToolAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request to a model. `tools` maps each offered tool to the JSON Schema of its parameters."""

    system: str = ""
    said: tuple[Said, ...] = ()
    tool_answers: tuple[ToolAnswer, ...] = ()
    tools: Mapping[str, Json] = field(default_factory=dict)
    model: str = ""
    key: str = ""
    call: str = ""
    schema: Json | None = None

    @property
    def last_user_text(self) -> str:
        """What the caller said last, or nothing."""
        return next((turn.text for turn in reversed(self.said) if turn.role == "user"), "")

    @property
    def cut_off(self) -> tuple["Conversation", str] | None:
        """When the user asks to go on with an answer that was cut off: the talk before it, and the beginning it had."""
        if len(self.said) < 2 or self.said[-2].role != "assistant" or not _GO_ON.search(self.last_user_text):
            return None
        begun = self.said[-2]
        return replace(self, said=self.said[:-2], tool_answers=begun.after), begun.text

    @property
    def user_turns(self) -> int:
        """How many times the user spoke."""
        return sum(turn.role == "user" for turn in self.said)

    def tool_named(self, *wanted: str) -> str | None:
        """The offered tool whose name, case and separators aside, contains one of the words."""
        for name in self.tools:
            plain = "".join(character for character in name.lower() if character.isalnum())
            if any(word in plain for word in wanted):
                return name
        return None


def text_of(content: Any) -> str:
    """Text of a message whose content is a string, a list of parts, or null."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""


def from_chat_body(body: Json, *, key: str = "", call: str = "") -> Conversation:
    """Read the body of POST /chat/completions."""
    system: list[str] = []
    said: list[Said] = []
    answers: list[ToolAnswer] = []
    names: dict[str, str] = {}
    for message in body.get("messages") or []:
        role, text = message.get("role"), text_of(message.get("content"))
        if role in ("system", "developer"):
            system.append(text)
        elif role == "tool":
            answers.append(ToolAnswer(names.get(message.get("tool_call_id", ""), ""), text))
        elif role == "assistant":
            calls = message.get("tool_calls") or []
            names.update({one.get("id", ""): one.get("function", {}).get("name", "") for one in calls})
            said.append(Said("assistant", text, tuple(answers)))
            answers = []
        elif role == "user":
            said.append(Said("user", text))
            answers = []
    return Conversation(
        system="\n".join(system),
        said=tuple(said),
        tool_answers=tuple(answers),
        tools=_tools(body.get("tools") or []),
        model=str(body.get("model", "")),
        key=key,
        call=call,
        schema=_schema(body.get("response_format")),
    )


def from_messages_body(body: Json, *, key: str = "", call: str = "") -> Conversation:
    """Read the body of POST /v1/messages (Anthropic). A tool that is forced stands for a schema."""
    said: list[Said] = []
    answers: list[ToolAnswer] = []
    names: dict[str, str] = {}
    for message in body.get("messages") or []:
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        for block in blocks:
            if block.get("type") == "tool_result":
                answers.append(ToolAnswer(names.get(block["tool_use_id"], ""), text_of(block.get("content"))))
        names.update({block["id"]: block["name"] for block in blocks if block.get("type") == "tool_use"})
        _note(said, answers, message.get("role") == "assistant", text_of(blocks), words=_has_words(blocks))
    tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or []}
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    return Conversation(
        system=text_of(body.get("system")),
        said=tuple(said),
        tool_answers=tuple(answers),
        tools=tools,
        model=str(body.get("model", "")),
        key=key,
        call=call,
        schema=schema or tools.get((body.get("tool_choice") or {}).get("name", "")),
    )


def from_contents_body(body: Json, *, model: str, key: str = "", call: str = "") -> Conversation:
    """Read the body of POST …:generateContent (Gemini)."""
    said: list[Said] = []
    answers: list[ToolAnswer] = []
    for content in body.get("contents") or []:
        parts = content.get("parts") or []
        for part in parts:
            if "functionResponse" in part:
                response = part["functionResponse"].get("response") or {}
                answers.append(
                    ToolAnswer(part["functionResponse"].get("name", ""), str(response.get("output", response)))
                )
        _note(said, answers, content.get("role") == "model", text_of(parts), words=_has_words(parts))
    declared = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations") or []]
    config = body.get("generationConfig") or {}
    return Conversation(
        system=text_of((body.get("systemInstruction") or {}).get("parts")),
        said=tuple(said),
        tool_answers=tuple(answers),
        tools={one["name"]: one.get("parametersJsonSchema") or one.get("parameters") or {} for one in declared},
        model=model,
        key=key,
        call=call,
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
    )


def _note(said: list[Said], answers: list[ToolAnswer], assistant: bool, text: str, *, words: bool) -> None:
    """One turn; results of tools count until somebody speaks."""
    if assistant:
        said.append(Said("assistant", text, tuple(answers)))
        answers.clear()
    elif words:
        said.append(Said("user", text))
        answers.clear()


def _has_words(parts: Sequence[Json]) -> bool:
    return any("text" in part for part in parts)


def _tools(offered: Sequence[Json]) -> dict[str, Json]:
    functions = [tool.get("function") or {} for tool in offered if tool.get("type") == "function"]
    return {function["name"]: function.get("parameters") or {} for function in functions if "name" in function}


def _schema(response_format: Any) -> Json | None:
    if not isinstance(response_format, dict):
        return None
    if response_format.get("type") == "json_schema":
        schema = (response_format.get("json_schema") or {}).get("schema")
        return schema if isinstance(schema, dict) else {}
    return {"type": "object"} if response_format.get("type") == "json_object" else None
