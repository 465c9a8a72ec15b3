"""What a scripted model is to answer: words, tool calls, a failure, and how fast. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from calliope_sandbox.conversations import Conversation


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool call; `arguments` is sent as it is, valid JSON or not."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Fail:
    """A refusal. With `after_tokens` the stream opens, says that many tokens, and breaks with an error object.

    `param` is the parameter that it names, where its vendor has a place for one. `shape`: how the body of the error is
    built, one of `SHAPES`; unsaid, as its vendor does. `packed`: as `Content-Encoding: gzip`, asked for or not.
    """

    status: int = 500
    code: str | None = None
    message: str = "scripted failure"
    type: str | None = None
    after_tokens: int | None = None
    retry_after_s: float | None = None
    param: str | None = None
    shape: str | None = None
    packed: bool = False

    def body(self) -> Any:
        """The body in its own shape. Raises: KeyError, when it has none."""
        return _BODIES[self.shape or ""](self)


_BODIES: Mapping[str, Callable[[Fail], Any]] = {
    "text": lambda fail: {"code": fail.code or "The request could not be served", "error": fail.message},
    "list": lambda fail: [{"error": {"message": fail.message, "code": fail.code, "param": fail.param}}],
    "detail": lambda fail: {"detail": fail.message},
    "details": lambda fail: {"detail": [{"loc": ["body", fail.param or "?"], "msg": fail.message, "type": fail.code}]},
    "message": lambda fail: {"object": "error", "message": fail.message, "type": fail.type, "param": fail.param},
}
SHAPES = frozenset(_BODIES)
"""`text` is xAI's, `detail` and `details` are those of FastAPI, `message` is that of older vLLM."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    `stall_after`: this many tokens, then nothing more on an open stream; `drop_after`: this many, then the connection
    is reset. `variants`: in which ways of other
    servers the stream is sloppy; `vendors/openai_wire.py` lists them.
    """

    say: str = ""
    tool_calls: tuple[CallTool, ...] = ()
    fail: Fail | None = None
    wait_ms: float = 0.0
    first_token_ms: float | None = None
    per_token_ms: float | None = None
    stall_after: int | None = None
    drop_after: int | None = None
    finish: str | None = None
    variants: frozenset[str] = frozenset()

    def about(self, talk: Conversation) -> "Answer":
        """This answer with {user_text} and {tool_result} filled in from the conversation."""
        if "{user_text}" not in self.say and "{tool_result}" not in self.say:
            return self
        result = talk.tool_answers[-1].content if talk.tool_answers else ""
        return replace(self, say=self.say.replace("{user_text}", talk.last_user_text).replace("{tool_result}", result))
