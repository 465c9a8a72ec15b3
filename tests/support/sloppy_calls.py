"""Calls whose models, tools and carriers misbehave now and then: every vendor in turn, and what such a call must be.

The emulators draw from the seed by key, so each call has keys of its own and can be played again alone.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from support.failover import MODELS
from support.faults import endured
from support.house import GREETING, House, Json, PhoneLine, a_document, facts, names, said
from support.scenes import PACE, VOICE, call_of

CARRIERS: Final = ("twilio", "telnyx")
HOURS: Final = "We are open from nine to six, Monday to Saturday."
BOOKED: Final = "You have table seven. Is there anything else?"
REPEATED: Final = "A table for two, for Ada."
GOODBYE: Final = "Thank you, Ada. Goodbye."
FAILED: Final = "I am sorry, that did not work."
TALK: Final = ("what are your opening hours", "a table for two please", "no thank you, goodbye")
BOOKING: Final[Json] = {"people": 2, "name": "Ada"}
LINES: Final = (GREETING, HOURS, REPEATED, BOOKED, GOODBYE, FAILED)
EXCUSES: Final = (
    "I am sorry, I have a technical problem. Please say that again.",
    "I am sorry, I have a technical problem. Please call again later. Goodbye.",
)
MOST_SILENCE_S: Final = 2.0
ANALYZED_S: Final = 30.0
_PLAIN: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class SloppyCall:
    """Call `number` of the week that `seed` makes."""

    seed: int
    number: int

    @property
    def tag(self) -> str:
        """Of what belongs to this call alone; the emulators know by it that they may be sloppy."""
        return f"sloppy-{self.seed}-{self.number}"

    @property
    def keys(self) -> tuple[str, str]:
        """Of its model and of the spare one."""
        return f"{self.tag}-first", f"{self.tag}-spare"

    @property
    def carrier(self) -> str:
        """Every other call comes by the other carrier."""
        return CARRIERS[self.number % 2]

    @property
    def vendor(self) -> str:
        """The model that is asked first."""
        return MODELS[self.number // 2 % len(MODELS)].name

    def document(self, sandbox: str) -> Json:
        """An assistant with a model, a spare one of the next vendor, and a tool of its own."""
        first = self.number // 2 % len(MODELS)
        config, spare = (MODELS[(first + at) % len(MODELS)].config(sandbox, key) for at, key in enumerate(self.keys))
        tool: Json = {
            "name": "book_table",
            "description": "Books a table.",
            "url": f"{sandbox}/tools/{self.tag}",
            "parameters": {
                "type": "object",
                "required": ["people", "name"],
                "properties": {"people": {"type": "integer"}, "name": {"type": "string"}, "wishes": {"type": "array"}},
            },
        }
        end = {"enabled": True, "scenarios": ["the caller says goodbye"]}
        data = {"anyOf": [{"properties": {"booked": {"type": "boolean"}}, "required": ["booked"]}]}
        return a_document(
            llm_provider=config.pop("provider"),
            llm_provider_config=config,
            llm_fallback_providers={"enabled": True, "fallbacks": [spare]},
            llm_settings={"system_prompt": f"You are {self.tag}.", "welcome_message": GREETING},
            tts_settings={"provider": "elevenlabs", "voice_id": VOICE[0]},
            tools_settings={"end_call": end, "custom_tools": [tool]},
            custom_settings={"structured_data_schema": data},
        )

    def rules(self) -> list[Json]:
        """What its models mean to say, whatever they write."""
        return [
            {"system": "JSON Schema of your answer", "json": {"booked": True}},
            {"system": "Write the summary", "say": "Ada booked a table for two."},
            {"match": "opening", "say": HOURS},
            {"match": "table", "say": REPEATED, "tool_calls": [call_of("book_table", **BOOKING)]},
            {"after_tool": "book_table", "say": BOOKED},
            {"after_tool": True, "say": FAILED},
            {"match": "goodbye", "say": GOODBYE, "tool_calls": [call_of("end_call")]},
        ]

    def manners(self) -> Json:
        """How its carrier is odd, one call in ten."""
        random = Random(f"{self.seed}:{self.number}")
        if random.random() >= 0.1:
            return {}
        odd: Json = {"voice_method": "GET"} if self.carrier == "twilio" else {"restless": True}
        return random.choice(({"early_frames": 3}, odd))


SCRIPT: Final[list[Json]] = [
    {"wait_for": "Anna"},
    {"wait_for_silence_ms": 300},
    {"say": TALK[0]},
    {"wait_for_silence_ms": 900, "patience_s": 9},
    {"say": TALK[1]},
    {"wait_for_silence_ms": 1_500, "patience_s": 9},
    {"say": TALK[2]},
    {"wait_for_silence_ms": 4_000, "patience_s": 9},
    {"hang_up": True},
]
"""A caller who goes on whatever is answered, and leaves at last."""


@dataclass(slots=True)
class Played:
    """A call that is over, and what is wrong with it."""

    asked: SloppyCall
    call: Json
    record: Json
    bookings: list[Json]
    kinds: list[str]
    problems: list[str] = field(default_factory=list)

    @property
    def heard(self) -> str:
        """Every word that reached the caller's ear."""
        return " ".join(word["text"] for word in self.call["heard_words"])

    @property
    def excused(self) -> bool:
        """Whether the caller heard an apology."""
        return "technical problem" in self.heard

    def told(self) -> str:
        """For whoever reads the report."""
        asked = self.asked
        what = "; ".join(self.problems)
        late = f"latest tick {self.call['latest_tick_ms']} ms"
        return f"{asked.tag} ({asked.vendor}, {asked.carrier}): {what} | drawn: {self.kinds} | {late} | {self.heard}"


async def play(house: House, sloppy: SloppyCall) -> Played:
    """Play it on a stack whose voices speak at `PACE`, and judge it."""
    sandbox = house.stack.address("sandbox")
    for key in sloppy.keys:
        await house.sandbox("POST", "/sandbox/llm/scripts", {"name": key, "key": key, "rules": sloppy.rules()})
    await house.sandbox("PUT", f"/sandbox/tools/{sloppy.tag}", {"body": {"table": 7, "reference": "B-17"}})
    line = await house.phone_line(sloppy.document(sandbox), sloppy.carrier)
    await house.own_number(line, **sloppy.manners())
    call, _ = await house.call(line, SCRIPT, char_ms=PACE)
    record = await _analyzed(house, line, call["sid"])
    bookings = await house.sandbox("GET", f"/sandbox/records/tools?name={sloppy.tag}")
    kinds = [entry["sloppy"] for key in sloppy.keys for entry in await _asked(house, key)]
    kinds += [f"tool: {entry['sloppy']}" for entry in bookings if "sloppy" in entry]
    played = Played(sloppy, call, record, bookings, kinds)
    played.problems.extend(problems(played))
    return played


async def _asked(house: House, key: str) -> list[Json]:
    entries: list[Json] = await house.sandbox("GET", f"/sandbox/records/llm?key={key}")
    return [entry for entry in entries if "sloppy" in entry]


async def _analyzed(house: House, line: PhoneLine, sid: str) -> Json:
    """The record, once its analysis is told or overdue."""
    deadline = time.monotonic() + ANALYZED_S
    while True:
        record = await house.record(line, sid)
        if "analyzed" in names(record) or time.monotonic() > deadline:
            return record
        await asyncio.sleep(0.1)


def problems(played: Played) -> Iterator[str]:
    """What no misbehaviour of a vendor may bring about."""
    call, record = played.call, played.record
    if record["ended_reason"] not in {"assistant_ended", "caller_hung_up"}:
        yield f"ended by {record['ended_reason']}"
    if call["failed"] and "the line dropped at step" not in call["failed"]:
        yield str(call["failed"])
    if call["problems"]:
        yield f"the carrier saw {call['problems']}"
    yield from _silences(call)
    yield from _unspeakable(call)
    yield from _effects(played)
    yield from _gaps(record)


def _silences(call: Json) -> Iterator[str]:
    turns = sum(line["side"] == "caller" for line in call["lines"])
    for turn in range(1, turns + 1):
        silence_s = endured(call, turn=turn).silence_s
        if silence_s > MOST_SILENCE_S:
            yield f"silence of {silence_s:.1f} s in turn {turn}"


def _unspeakable(call: Json) -> Iterator[str]:
    """Words that no line has; half of one is where a voice or a model broke off, or where the line stuttered."""
    known = {_plain(word) for line in (*LINES, *EXCUSES) for word in line.split()}
    heard, before = [_plain(word["text"]) for word in call["heard_words"]], ""
    for word in heard:
        if not any(one.startswith((word, before + word)) for one in known):
            yield f"spoken: {word!r} in {' '.join(heard)!r}"
        before = word


def _effects(played: Played) -> Iterator[str]:
    wrong = [entry["body"] for entry in played.bookings if entry["body"] != BOOKING]
    if wrong:
        yield f"booked {wrong}"
    if len(played.bookings) > 1:
        yield f"booked {len(played.bookings)} times"
    if "seven" in _plain(played.heard) and not played.bookings:
        yield "a table was promised that nobody booked"


def _gaps(record: Json) -> Iterator[str]:
    sequences = [event["sequence"] for event in record["events"]]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"events {sequences}"
    if said(record, "user") != " ".join(TALK):
        yield f"the record has the caller say {said(record, 'user')!r}"
    analyzed: list[Any] = facts(record, "analyzed")
    if [one["status"] for one in analyzed] != ["done"] or analyzed[0]["structured_data"] != {"booked": True}:
        yield f"analysis: {analyzed}"


def _plain(text: str) -> str:
    return _PLAIN.sub("", text).lower()
