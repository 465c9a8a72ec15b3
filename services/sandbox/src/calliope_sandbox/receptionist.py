"""The built-in script: a friendly receptionist who books, knows the hours, hands over and says goodbye. Pure."""

import json
import re
from collections.abc import Callable
from typing import Any

from calliope_sandbox.answers import Answer, CallTool
from calliope_sandbox.conversations import Conversation
from calliope_sandbox.schema_instances import instance

_GOODBYE = re.compile(r"\b(good-?\s?bye|bye|that('| i)s all|hang up|have a (nice|good) day)\b", re.IGNORECASE)
_HUMAN = re.compile(r"\b(human|person|someone|agent|manager|colleague|transfer|real one)\b", re.IGNORECASE)
_HOURS = re.compile(r"\b(open|opening|close|closing|hours)\b", re.IGNORECASE)
_BOOK = re.compile(r"\b(book|booking|reserve|reservation|table|appointment)\b", re.IGNORECASE)
_DETAILS = re.compile(r"\b(for (\w+)\b.*|tomorrow\b.*|today\b.*|tonight\b.*|at \w+\b.*)", re.IGNORECASE)
_GREETING = re.compile(r"^\W*(hi|hello|hey|good (morning|afternoon|evening))\b[^a-z]*$", re.IGNORECASE)
_THANKS = re.compile(r"\b(thanks|thank you)\b", re.IGNORECASE)
_SUMMARY = re.compile(r"\bsummar(y|i[sz]e)", re.IGNORECASE)

HELLO = "Hello! How can I help you today?"
HOURS = "We are open from nine to six, Monday to Saturday."
BOOK_WHAT = "Gladly. For how many people, and when?"
GOODBYE = "Thank you for calling. Goodbye!"
HAND_OVER = "One moment please, I will connect you with a colleague."


def answer(talk: Conversation) -> Answer:
    """What the receptionist says; tools are called only when they are offered."""
    if talk.schema is not None:
        return Answer(say=json.dumps(instance(talk.schema, free_text=_gist(talk))))
    if not talk.tools and (_SUMMARY.search(talk.system) or _SUMMARY.search(talk.last_user_text[:200])):
        return Answer(say=_gist(talk))
    if talk.tool_answers:
        return _after_tool(talk)
    for heard, reply in _REPLIES:
        if heard.search(talk.last_user_text):
            return reply(talk)
    if not talk.last_user_text:
        return Answer(say=HELLO)
    return Answer(say=f"You said: {talk.last_user_text.rstrip('.!?')}. What else can I do for you?")


def _after_tool(talk: Conversation) -> Answer:
    done = talk.tool_answers[-1]
    if re.sub(r"[^a-z]", "", done.name.lower()) in ("endcall", "transfercall"):
        return Answer(say="")
    failed = re.search(r"\b(error|failed|timeout)\b", done.content, re.IGNORECASE) is not None
    return Answer(say="I am sorry, that did not work." if failed else "That is done. Is there anything else?")


def _call(talk: Conversation, say: str, *tools: str) -> Answer:
    name = talk.tool_named(*tools)
    if name is None:
        return Answer(say=say)
    arguments = json.dumps(instance(talk.tools[name], free_text=talk.last_user_text))
    return Answer(say=say, tool_calls=(CallTool(name, arguments if arguments != "null" else "{}"),))


def _book(talk: Conversation) -> Answer:
    if talk.tool_named("book", "reserv"):
        return _call(talk, "Let me book that for you.", "book", "reserv")
    details = _DETAILS.search(talk.last_user_text)
    if details is None:
        return Answer(say=BOOK_WHAT)
    return Answer(say=f"Your table {details[0].strip().rstrip('.!?')} is booked. Is there anything else?")


_REPLIES: tuple[tuple[re.Pattern[str], Callable[[Conversation], Answer]], ...] = (
    (_GOODBYE, lambda talk: _call(talk, GOODBYE, "endcall")),
    (_HUMAN, lambda talk: _call(talk, HAND_OVER, "transfercall")),
    (_HOURS, lambda talk: _call(talk, HOURS, "hours")),
    (_BOOK, _book),
    (_GREETING, lambda talk: Answer(say=HELLO)),
    (_THANKS, lambda talk: Answer(say="You are welcome. Is there anything else?")),
)


def _gist(talk: Conversation) -> str:
    """One sentence about the talk; of a transcript given as one message, what its lines say that the caller said."""
    wanted = " ".join(_callers_words(turn.text) for turn in talk.said if turn.role == "user")
    return f"The caller said: {' '.join(wanted.split())[:300]}"


def _callers_words(text: str) -> str:
    """Of lines of JSON those of the caller; the text itself, when it has none."""
    found = [line["caller"] for line in map(_object, text.splitlines()) if isinstance(line.get("caller"), str)]
    return " ".join(found) or text


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
