"""What history, transcript and events say was heard is what was heard, wherever the caller cuts in.

`make test-heard` cuts in a thousand times; the smoke here some sixty times.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from support.heard import Comparison, compare
from support.house import GREETING, Json, visiting
from support.scenes import Scene, Seen, play

SMOKE: Final = 60
AT_ONCE: Final = 20
SEED: Final = 20_261_124
LONGEST_MS: Final = 3_500
VOICES: Final = {
    "arnold": ("VR6AewLTigWG4xSOukaG", 35),
    "domi": ("AZnzlk1XvdvUeBnXmlld", 45),
    "bella": ("EXAVITQu4vr4xnSDxMaL", 60),
    "adam": ("pNInz6obpgDQGcFmaJgB", 80),
}
REPLY: Final = (
    "Okay, the harbour is a wide one; it lies between two hills, and every boat that comes in by night is seen from"
    " the tower. I know of no other place like it. In winter a storm may close the entrance for extraordinarily many"
    " days, but in summer it is open to all, and a great number of unmistakably foreign ships anchor there."
)


STALLED_MS: Final = 100.0
"""A carrier whose own clock stood still for longer played on after our `clear`: nobody can know what was heard then."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Every call of a run, and the replies compared of those whose carrier kept time."""

    talks: list[Seen]
    replies: list[Comparison]

    @property
    def cuts(self) -> list[Comparison]:
        """Those that the caller cut short."""
        return [reply for reply in self.replies if reply.cut]


def a_caller_who_cuts_in(chance: random.Random, voice: str, times: int) -> Scene:
    script: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 200}, {"say": "begin"}]
    for _ in range(times):
        script += [
            {"pause_ms": 350},
            {
                "interrupt": {
                    "after_ms": chance.uniform(0, LONGEST_MS),
                    "say": chance.choice(["stop", "no", "wait now"]),
                }
            },
        ]
    script += [{"wait_for": "Okay"}, {"pause_ms": chance.uniform(0, 1_000)}, {"hang_up": True}]
    document = {
        "tts_settings": {"provider": "elevenlabs", "voice_id": voice},
        "interruption_settings": {"interruption_threshold": 1, "min_speaking_time": 0, "interruption_cooldown": 0.1},
    }
    return Scene(script, [{"say": REPLY}], document)


@pytest.fixture(scope="module")
def compared(stack: LocalStack, request: pytest.FixtureRequest) -> Compared:
    wanted = int(request.config.getoption("--interruptions", SMOKE))
    chance = random.Random(SEED)
    times = max(3, min(20, wanted // AT_ONCE))
    scenes = [
        a_caller_who_cuts_in(chance, list(VOICES)[number % len(VOICES)], times) for number in range(-(-wanted // times))
    ]
    talks = asyncio.run(all_of(stack, scenes))
    said = {"welcome": GREETING + " ", "reply": REPLY + " "}
    steady = [talk for talk in talks if talk.call["latest_tick_ms"] < STALLED_MS]
    return Compared(talks, [reply for talk in steady for reply in compare(talk.call, talk.record, said)])


async def all_of(stack: LocalStack, scenes: list[Scene]) -> list[Seen]:
    async with visiting(stack) as house:
        paces = dict(VOICES.values())
        await house.sandbox("PATCH", "/sandbox/knobs", {"elevenlabs": {"voice_char_ms": paces}})
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(scene: Scene) -> Seen:
            async with slots:
                return await play(house, scene)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(scene)) for scene in scenes]
        await house.sandbox("POST", "/sandbox/reset")
        return [task.result() for task in running]


def test_every_caller_cut_in_as_often_as_wanted(compared: Compared) -> None:
    assert [talk.call["failed"] for talk in compared.talks if talk.call["failed"]] == []
    wanted = sum(step["step"].startswith("interrupt") for talk in compared.talks for step in talk.call["steps"])
    assert sum(len(talk.facts("interrupted")) for talk in compared.talks) >= 0.95 * wanted


@pytest.mark.promise("P6")
def test_the_record_has_the_words_that_the_caller_heard(compared: Compared) -> None:
    off = Counter(cut.off for cut in compared.cuts)
    print(f"\n{len(compared.cuts)} replies cut short; words too many (too few): {dict(sorted(off.items()))}")

    within_one = sum(count for words, count in off.items() if abs(words) <= 1)
    assert len(compared.cuts) >= sum(len(talk.facts("interrupted")) for talk in compared.talks) / 2
    assert within_one >= 0.99 * len(compared.cuts), off
    assert max(map(abs, off)) <= 2, off


@pytest.mark.promise("P6")
def test_events_transcript_and_the_next_request_tell_the_same(compared: Compared) -> None:
    for talk in compared.talks:
        cuts = {cut["turn"]: cut["heard_text"] for cut in talk.facts("interrupted")}
        turns = {turn["turn"]: turn["assistant_text"] for turn in talk.facts("turn_committed")}
        assert cuts.items() <= turns.items()
        assert talk.assistant == [text for text in turns.values() if text]
        last = [message["content"] for message in talk.asked[-1] if message["role"] == "assistant"]
        assert last == talk.assistant[: len(last)]
        assert len(last) >= len(talk.assistant) - 1
