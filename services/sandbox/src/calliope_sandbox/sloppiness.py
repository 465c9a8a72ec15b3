"""Misbehaviour that real vendors show now and then, drawn from a seed: which of it strikes a request, and how.

Every request of a key has its own draw, so the same seed and the same requests misbehave in the same way.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final, TypeVar

from calliope_sandbox import sloppy_text
from calliope_sandbox.answers import SHAPES, Answer, CallTool, Fail
from calliope_sandbox.conversations import Conversation
from calliope_sandbox.knobs import Knobs

MAX_KEPT: Final = 10_000
"""Keys whose requests are counted, and conversations in which a right call is owed; beyond it the oldest go."""
Key = TypeVar("Key")
Value = TypeVar("Value")
NO_SUCH_TOOL: Final = "lookup_everything"
RETRY_AFTER_S: Final = 0.2
_TELLS_BY_CODE: Final = frozenset({"openai", "groq", "xai"})
_OBJECTS_ONLY: Final = "gemini"
"""Its calls hold an object, never a text."""


class Sloppiness:
    """The draws of one sandbox."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._asked: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._owed: OrderedDict[int, tuple[CallTool, ...]] = OrderedDict()

    def clear(self) -> None:
        """As in a fresh sandbox."""
        self._asked.clear()
        self._owed.clear()

    def draw(self, vendor: str, key: str) -> Random | None:
        """What the misbehaviour of this request is chosen with; None, when it is served as it should be."""
        sloppy = self._knobs.sloppy
        if not (sloppy.everybody or key.startswith(sloppy.keys)):
            return None
        number = self._asked.pop((vendor, key), 0) + 1
        _keep(self._asked, (vendor, key), number)
        random = Random(f"{sloppy.seed}:{vendor}:{key}:{number}")  # noqa: S311 - a draw, not a secret
        return random if random.random() < sloppy.share else None

    def wanted(self, kinds: Iterable[str], random: Random) -> str | None:
        """One of these kinds, or of those of them that the knobs name; None, when there is none."""
        wanted = self._knobs.sloppy.kinds
        found = sorted(kind for kind in kinds if not wanted or kind in wanted)
        return random.choice(found) if found else None

    def owe(self, talk: Conversation, calls: tuple[CallTool, ...]) -> None:
        """A call was written so that nobody can run it: told so, the model calls again as it meant to."""
        _keep(self._owed, _place(talk), calls)

    def owed(self, talk: Conversation) -> tuple[CallTool, ...]:
        """The calls that this conversation waits for."""
        return self._owed.pop(_place(talk), ()) if talk.tool_answers else ()


@dataclass(frozen=True, slots=True)
class Request:
    """What a draw may depend on. `variants` are the ways of the vendor's wire; none, when nothing is streamed."""

    vendor: str
    talk: Conversation
    answer: Answer
    variants: tuple[str, ...]


Misbehaviour = Callable[[Request, Random], Answer]


def misbehaviours(request: Request) -> Mapping[str, Misbehaviour]:
    """All that can strike this answer, by kind."""
    answer, found = request.answer, dict[str, Misbehaviour]()
    if answer.fail is not None or answer.stall_after is not None:
        return found
    found |= _FAILURES if request.vendor in _TELLS_BY_CODE else {kind: _FAILURES[kind] for kind in _EVERYWHERE}
    if request.variants:
        found["wire"] = _odd_wire
    dresses = sloppy_text.WRITTEN if request.talk.schema is not None else sloppy_text.SPOKEN
    if answer.say:
        found |= {kind: _dressed(dress) for kind, dress in dresses.items()}
    if request.talk.schema is None and answer.say and not answer.tool_calls:
        found["nothing_to_say"] = lambda asked, random: replace(asked.answer, say=sloppy_text.nothing_to_say(random))
    if answer.tool_calls:
        found |= {"call_as_text": _call_as_text, "no_such_tool": _no_such_tool}
        if request.variants and request.vendor != _OBJECTS_ONLY:
            found |= {"cut_arguments": _cut_arguments, "packed_arguments": _packed_arguments}
    return found


def is_owed(kind: str) -> bool:
    """Whether nobody can run the calls of an answer that misbehaves so."""
    return kind in {"cut_arguments", "no_such_tool"}


def _dressed(dress: sloppy_text.Dress) -> Misbehaviour:
    return lambda request, random: replace(request.answer, say=dress(request.answer.say, random))


def _odd_wire(request: Request, random: Random) -> Answer:
    answer, variant = request.answer, random.choice(sorted(request.variants))
    if variant == "half_characters" and answer.say and request.talk.schema is None:
        answer = replace(answer, say=f"{answer.say} \U0001f389")
    return replace(answer, variants=answer.variants | {variant})


def _failed(fail: Fail) -> Misbehaviour:
    return lambda request, random: replace(request.answer, fail=fail)


def _in_another_shape(request: Request, random: Random) -> Answer:
    fail = Fail(500, "internal_error", "The model could not be reached", shape=random.choice(sorted(SHAPES)))
    return replace(request.answer, fail=fail)


def _in_the_middle(request: Request, random: Random) -> int:
    return random.randint(0, len(request.answer.say.split()))


def _dropped(request: Request, random: Random) -> Answer:
    return replace(request.answer, drop_after=_in_the_middle(request, random))


def _broken(request: Request, random: Random) -> Answer:
    return replace(request.answer, fail=Fail(after_tokens=_in_the_middle(request, random)))


def _changed(request: Request, change: Callable[[CallTool], CallTool]) -> Answer:
    return replace(request.answer, tool_calls=tuple(change(call) for call in request.answer.tool_calls))


def _call_as_text(request: Request, random: Random) -> Answer:
    answer = request.answer
    written = (sloppy_text.call_as_text(call.name, call.arguments, random) for call in answer.tool_calls)
    return replace(answer, say=" ".join((answer.say, *written)).strip(), tool_calls=())


def _no_such_tool(request: Request, random: Random) -> Answer:
    return _changed(request, lambda call: replace(call, name=NO_SUCH_TOOL))


def _cut_arguments(request: Request, random: Random) -> Answer:
    return _changed(request, lambda call: replace(call, arguments=call.arguments[: max(1, len(call.arguments) // 2)]))


def _packed_arguments(request: Request, random: Random) -> Answer:
    def packed(call: CallTool) -> CallTool:
        if call.arguments == "{}":
            return replace(call, arguments=random.choice(("null", '""', "")))
        escaped = call.arguments.replace("\\", "\\\\").replace('"', '\\"')
        return replace(call, arguments=f'"{escaped}"')

    return _changed(request, packed)


_FAILURES: Final[Mapping[str, Misbehaviour]] = {
    "rate_limited": _failed(Fail(429, message="Rate limit reached", retry_after_s=RETRY_AFTER_S)),
    "overloaded": _failed(Fail(503, message="The service is overloaded")),
    "packed_error": _failed(Fail(503, message="The service is overloaded", packed=True)),
    "dropped": _dropped,
    "broken": _broken,
    "bad_call": _failed(Fail(400, "tool_use_failed", "Failed to call a function.")),
    "error_in_another_shape": _in_another_shape,
}
_EVERYWHERE: Final = ("rate_limited", "overloaded", "packed_error", "dropped", "broken")
"""Others are known of vendors whose errors have codes."""


def _place(talk: Conversation) -> int:
    """Where in which conversation a request stands, whichever model is asked, and however often."""
    talk, _ = talk.cut_off or (talk, "")
    return hash((talk.system, tuple(said.text for said in talk.said if said.role == "user")))


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    kept[key] = value
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
