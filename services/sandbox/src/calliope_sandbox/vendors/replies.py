"""A scripted answer, cut to what a request allows and counted, before any vendor writes it in its own way. Pure."""

import re
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from calliope_sandbox.answers import Answer
from calliope_sandbox.conversations import Conversation

_TOKEN = re.compile(r"\s*\S+|\s+$")
_TOKENS_OF_A_CALL = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error of a vendor."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a request wants its answer to end."""

    stops: tuple[str, ...] = ()
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as counted here: a word each, a quarter of the characters for what was asked."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer ready to be written in any form. `cut`: by the token limit; `stop`: by this sequence."""

    id: str
    created: int
    model: str
    pieces: tuple[str, ...]
    answer: Answer
    usage: Usage
    cut: bool = False
    stop: str | None = None


def tokens(text: str) -> list[str]:
    """Text in pieces, one a word with the blank before it; joined they are the text again."""
    return _TOKEN.findall(text)


def reply_to(talk: Conversation, answer: Answer, limits: Limits) -> Reply:
    """The answer, cut by the first stop sequence and by the token limit."""
    at, stop = min(
        ((answer.say.find(stop), stop) for stop in limits.stops if stop and stop in answer.say), default=(None, None)
    )
    pieces = tokens(answer.say[:at])
    limit = limits.max_tokens
    cut = limit is not None and len(pieces) > limit
    prompt = len(talk.system) + sum(len(turn.text) for turn in talk.said)
    written = min(len(pieces), limit or len(pieces)) + _TOKENS_OF_A_CALL * len(answer.tool_calls)
    return Reply(
        id=uuid.uuid4().hex[:24],
        created=int(time.time()),
        model=talk.model,
        pieces=tuple(pieces[:limit] if cut else pieces),
        answer=replace(answer, tool_calls=()) if cut else answer,
        usage=Usage(prompt // 4 + 1, written),
        cut=cut,
        stop=None if cut else stop,
    )
