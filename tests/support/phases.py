"""The phases of a call in which its worker may be ended: what leads there, how the emulators tell, what is owed then.

Every word of the assistant belongs to a known sentence: one that is missing, or comes more often than owed, shows.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from support.house import House, Json, PhoneLine, names
from support.scenes import call_of

WELCOME: Final = "Hello and welcome to Bella, my name is Anna."
ANSWER: Final = "We open at nine in the morning, serve lunch until three, then dinner from seven."
BOOKED: Final = "Your table for two has been booked under delta echo foxtrot."
GOODBYE: Final = "Thank you for calling Bella, goodbye and have a lovely evening."
CONNECTING: Final = "One moment please, I am connecting you with somebody at our front desk."
ASKED_AGAIN: Final = "Sorry, I missed that. Could you say it again?"
DESK: Final = "+15557770002"
TOOL: Final = "book_table"
LONG_MS: Final = 2_000.0
"""How long the phone rings and the tool takes: enough to be broken in the middle."""
THINKS_MS: Final = 1_200.0
"""As above, of the model; below the deadline after which it would be asked again."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the emulators know of one call, and its record."""

    house: House
    line: PhoneLine
    sid: str
    tag: str

    async def call(self) -> Json:
        """As its caller and its carrier saw it so far."""
        return await self.house.heard(self.sid, within_s=0)

    async def words(self) -> int:
        """How many the caller heard so far."""
        return len((await self.call())["heard_words"])

    async def names(self) -> list[str]:
        """Its facts so far, by name."""
        return names(await self.house.open_record(self.line, self.sid))

    async def model_requests(self) -> int:
        """How often its model was asked."""
        entries = await self.house.sandbox("GET", "/sandbox/records/llm")
        return sum(self.tag in str(entry["request"]) for entry in entries)

    async def tool_keys(self) -> list[str]:
        """The idempotency keys that its tool was asked with."""
        entries = await self.house.sandbox("GET", f"/sandbox/records/tools?name={self.tag}")
        return [str(entry["headers"]["idempotency-key"]) for entry in entries]


async def _rings(watch: Watch) -> bool:
    call = await watch.call()
    assert call["answered_at_s"] is None, "it was answered before it could be broken"
    return bool(call["twiml"]) if "twiml" in call else "answer" in call["commands"]


async def _caller_speaks(watch: Watch) -> bool:
    return ((await watch.call())["saying_for_ms"] or 0.0) >= 700.0


async def _thinks(watch: Watch) -> bool:
    """The caller's turn is over, too: before that the model may be asked in advance."""
    return await watch.model_requests() > 0 and "turn_started" in await watch.names()


async def _tool_is_asked(watch: Watch) -> bool:
    return bool(await watch.tool_keys())


def _heard_of(*sentences: str, words: int) -> Callable[[Watch], Awaitable[bool]]:
    """These, and so many words of the next one."""
    before = sum(len(sentence.split()) for sentence in sentences)

    async def heard(watch: Watch) -> bool:
        return await watch.words() >= before + words

    return heard


@dataclass(frozen=True, slots=True)
class Phase:
    """What the caller does, when the phase is reached, and every sentence that is owed in the whole call."""

    owed: tuple[str, ...]
    reached: Callable[[Watch], Awaitable[bool]]
    script: Sequence[Json] = ()
    rules: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    ended_reason: str = "caller_hung_up"
    says: str = ""
    """What of the caller's words has to be in the record, once."""


_LISTENS: Final[list[Json]] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
_HANGS_UP: Final[list[Json]] = [{"wait_for_silence_ms": 400}, {"hang_up": True}]
HOURS: Final = "When are you open?"
QUESTION: Final = "I would like to know from you when you are open next week"
LONG_QUESTION: Final = f"{QUESTION} on Monday and on Tuesday and for how long in the evening of Wednesday"
_ASKS: Final[list[Json]] = [*_LISTENS, {"say": HOURS}, {"wait_for": "seven", "within_s": 30}, *_HANGS_UP]

PHASES: Final = {
    "ringing": Phase((WELCOME,), _rings, [*_LISTENS, *_HANGS_UP], options={"ring_ms": LONG_MS}),
    "welcome": Phase((WELCOME,), _heard_of(words=3), [*_LISTENS, *_HANGS_UP]),
    "caller speaking": Phase(
        (WELCOME, ANSWER),
        _caller_speaks,
        [*_LISTENS, {"say": LONG_QUESTION}, {"wait_for": "seven", "within_s": 30}, *_HANGS_UP],
        [{"say": ANSWER}],
        says="of Wednesday",
    ),
    "thinking": Phase(
        (WELCOME, ANSWER),
        _thinks,
        _ASKS,
        [{"times": 1, "wait_ms": THINKS_MS, "say": ANSWER}, {"say": ANSWER}],
        says=HOURS,
    ),
    "speaking": Phase((WELCOME, ANSWER), _heard_of(WELCOME, words=5), _ASKS, [{"say": ANSWER}], says=HOURS),
    "tool running": Phase(
        (WELCOME, BOOKED),
        _tool_is_asked,
        [*_LISTENS, {"say": "A table for two."}, {"wait_for": "foxtrot", "within_s": 30}, *_HANGS_UP],
        [{"after_tool": TOOL, "say": BOOKED}, {"tool_calls": [call_of(TOOL)]}],
        says="A table for two.",
    ),
    "transferring": Phase(
        (WELCOME, CONNECTING),
        _heard_of(WELCOME, words=2),
        [*_LISTENS, {"say": "A person please."}, {"expect_hang_up": True, "within_s": 30}],
        [{"tool_calls": [call_of("transfer_call", destination=DESK)]}],
        ended_reason="transferred",
        says="A person please.",
    ),
    "closing": Phase(
        (WELCOME, GOODBYE),
        _heard_of(WELCOME, words=3),
        [*_LISTENS, {"say": "That is all."}, {"expect_hang_up": True, "within_s": 30}],
        [{"say": GOODBYE, "tool_calls": [call_of("end_call")]}],
        ended_reason="assistant_ended",
        says="That is all.",
    ),
}

UNHEARD: Final = Phase(
    (WELCOME, ASKED_AGAIN, ANSWER),
    _caller_speaks,
    [
        *_LISTENS,
        {"say": QUESTION},
        {"wait_for": "again", "within_s": 30},
        {"wait_for_silence_ms": 300},
        *_ASKS[len(_LISTENS) :],
    ],
    [{"say": ANSWER}],
    says=HOURS,
)
"""The caller goes on speaking until nobody listens any more, and is done before anybody does again."""

PARKING: Final = "Where can I park my car?"
SUMMARY: Final = "The caller asked for a place to park."
UNANALYSED: Final = Phase(
    (WELCOME, ANSWER),
    _thinks,
    [*_LISTENS, {"say": PARKING}, {"wait_for": "seven", "within_s": 30}, *_HANGS_UP],
    [{"say": ANSWER}],
    says=PARKING,
)
"""The call is over before its worker is; the model that summarises it has been asked and has not answered."""
SUMMARISES: Final[list[Json]] = [
    {
        "system": "summary of a telephone call",
        "match": "park my car",
        "times": 1,
        "wait_ms": 60_000,
        "say": "Too late.",
    },
    {"system": "summary of a telephone call", "match": "park my car", "say": SUMMARY},
]
