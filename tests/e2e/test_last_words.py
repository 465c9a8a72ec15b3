"""Nothing to turn to: the caller still hears words, the line still ends, and the record says why."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from calliope_local.stack import LocalStack
from support.faults import FIRST, SECOND, a_document_with_keys, a_script, endured, keys
from support.house import House, Json, facts, heard_text, visiting

DEAD: Final[Json] = {"kind": "drop", "after": None, "times": None}
MUTE: Final[Json] = {"kind": "silent", "times": None}
CUT: Final[Json] = {"kind": "drop"}
WAIT: Final = "One moment, please."
SORRY: Final = "I am sorry, I have a technical problem. Please say that again."
SORRY_END: Final = "I am sorry, we have a technical problem. Please call again later. Goodbye."
LAST_RESORT: Final = "We are sorry, we have a technical problem. Please call again later."
ASKS_AGAIN: Final[list[Json]] = [
    *a_script([])[:-4],
    {"wait_for": "say that again"},
    {"wait_for_silence_ms": 300},
    {"say": SECOND},
    {"expect_hang_up": True},
]
WAITS: Final[list[Json]] = [*a_script([])[:-4], {"expect_hang_up": True}]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is dead, from the second turn on or `from_start`, and what the caller then hears."""

    name: str
    faults: tuple[Json, ...]
    script: list[Json]
    hears: str
    reason: str
    from_start: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    carrier: str = "twilio"


def of(vendor: str, *faults: Json) -> tuple[Json, ...]:
    return tuple([{"vendor": vendor} | fault for fault in faults])


ROBOT: Final = {"voice_id": "josh", "stability": 0.31}  # a voice that no other call of the worker has spoken with
CASES: Final = (
    Case("llm dead", of("openai", DEAD), ASKS_AGAIN, f"{SORRY} {SORRY_END}", "dropped"),
    Case("llm mute", of("openai", MUTE), ASKS_AGAIN, f"{WAIT} {SORRY} {WAIT} {SORRY_END}", "deadline"),
    Case("tts dead", of("elevenlabs", CUT, DEAD), WAITS, SORRY_END, "dropped"),
    Case("tts mute", of("elevenlabs", MUTE), WAITS, SORRY_END, "deadline"),
    Case("stt dead", of("deepgram", CUT, DEAD), WAITS, SORRY_END, "dropped"),
    Case("no voice ever", of("elevenlabs", DEAD), [{"expect_hang_up": True}], LAST_RESORT, "dropped", True, ROBOT),
    Case(
        "no voice over telnyx",
        of("elevenlabs", DEAD),
        [{"expect_hang_up": True}],
        LAST_RESORT,
        "dropped",
        True,
        ROBOT,
        "telnyx",
    ),
    Case(
        "all dead",
        (*of("elevenlabs", DEAD), *of("openai", DEAD), *of("deepgram", DEAD)),
        [{"expect_hang_up": True}],
        LAST_RESORT,
        "dropped",
        True,
        ROBOT,
    ),
)


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, tuple[Json, Json]]:
    async def ring() -> dict[str, tuple[Json, Json]]:
        async with visiting(stack) as house, asyncio.TaskGroup() as calls:
            made = {case.name: calls.create_task(_call(house, case)) for case in CASES}
        return {name: task.result() for name, task in made.items()}

    return asyncio.run(ring())


async def _call(house: House, case: Case) -> tuple[Json, Json]:
    tag = f"last-{case.name.replace(' ', '-')}"
    document = a_document_with_keys(tag, fallbacks=False)
    document["tts_settings"] |= case.changes
    line = await house.phone_line(document, case.carrier)
    faults = [{"key": keys(tag)[fault["vendor"]]} | fault for fault in case.faults]
    script = [{"faults": faults} if "faults" in step else step for step in case.script]
    if case.from_start:
        for fault in faults:
            await house.sandbox("POST", "/sandbox/faults", fault)
    return await house.call(line, script)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_anybody_to_turn_to_the_caller_hears_words_and_the_line_ends(
    seen: dict[str, tuple[Json, Json]], case: Case
) -> None:
    call, record = seen[case.name]

    assert call["failed"] is None
    assert heard_text(call).endswith(case.hears)
    assert heard_text(call).count(case.hears) == 1
    assert record["ended_reason"] == "provider_failed"
    told = facts(record, "provider_failed")
    assert case.reason in {one["reason"] for one in told}
    assert "gives up" in {one["action"] for one in told}


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("name", "within_s"), [("llm dead", 2.0), ("tts dead", 2.0), ("llm mute", 4.0), ("tts mute", 4.0)]
)
def test_the_next_words_come_soon(
    seen: dict[str, tuple[Json, Json]], name: str, within_s: float, record_property: Any
) -> None:
    """Who is merely late and has no stand-in is waited for a little longer."""
    silence_s = endured(seen[name][0]).silence_s
    record_property("silence_s", round(silence_s, 2))
    assert silence_s < within_s


@pytest.mark.promise("P8")
@pytest.mark.parametrize("where", ["llm_provider_config", "tts_settings", "stt_settings"])
async def test_a_wrong_key_is_told_in_the_record_and_never_spoken(house: House, where: str) -> None:
    wrong = "bad-secret-4711"
    document = a_document_with_keys(f"wrong-{where}", fallbacks=False)
    document[where] |= {"api_key": wrong} | ({"stability": 0.37} if where == "tts_settings" else {})
    line = await house.phone_line(document)

    call, record = await house.call(line, [{"pause_ms": 2_500}, {"say": FIRST}, {"expect_hang_up": True}])

    assert "key" in {one["reason"] for one in facts(record, "provider_failed")}
    assert record["ended_reason"] == "provider_failed"
    spoken = heard_text(call).lower()
    assert "technical problem" in spoken
    assert not [word for word in ("bad", "4711", "key", "401", "elevenlabs", "openai", "deepgram") if word in spoken]
    assert wrong not in str(record)
