"""What a scripted model is to answer: words, tool calls, a failure, and how fast. Pure."""

from dataclasses import dataclass, replace

from calliope_sandbox.conversations import Conversation


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool call; `arguments` is sent as it is, valid JSON or not."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Fail:
    """A refusal. With `after_tokens` the stream opens, says that many tokens, and breaks with an error object."""

    status: int = 500
    code: str | None = None
    message: str = "scripted failure"
    type: str | None = None
    after_tokens: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    `stall_after`: this many tokens, then nothing more on an open stream. `variants`: in which ways of other
    servers the stream is sloppy; `vendors/openai_wire.py` lists them.
    """

    say: str = ""
    tool_calls: tuple[CallTool, ...] = ()
    fail: Fail | None = None
    wait_ms: float = 0.0
    first_token_ms: float | None = None
    per_token_ms: float | None = None
    stall_after: int | None = None
    finish: str | None = None
    variants: frozenset[str] = frozenset()

    def about(self, talk: Conversation) -> "Answer":
        """This answer with {user_text} and {tool_result} filled in from the conversation."""
        if "{user_text}" not in self.say and "{tool_result}" not in self.say:
            return self
        result = talk.tool_answers[-1].content if talk.tool_answers else ""
        return replace(self, say=self.say.replace("{user_text}", talk.last_user_text).replace("{tool_result}", result))
