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
from support.heard import COLUMNS, Comparison, compare, row
from support.heard_calls import CARRIERS, CUTS_IN, REPLY, VOICES, document_of, paces, stalled
from support.house import GREETING, Json, visiting
from support.scenes import Scene, Seen, play

SMOKE: Final = 60
AT_ONCE: Final = 20
SEED: Final = 20_261_128
LONGEST_MS: Final = 3_500


@dataclass(frozen=True, slots=True)
class Compared:
    """Every call of a run; and by carrier the replies cut short, and the calls left out as it did not keep time."""

    talks: list[Seen]
    cuts: dict[str, list[Comparison]]
    left_out: dict[str, int]


def a_caller_who_cuts_in(chance: random.Random, carrier: str, voice: str, times: int) -> Scene:
    script: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 200}, {"say": "begin"}]
    for _ in range(times):
        script += [
            {"pause_ms": 350},
            {"interrupt": {"after_ms": chance.uniform(0, LONGEST_MS), "say": chance.choice(CUTS_IN)}},
        ]
    script += [{"wait_for": "Okay"}, {"pause_ms": chance.uniform(0, 1_000)}, {"hang_up": True}]
    return Scene(script, [{"say": REPLY}], document_of(voice), carrier=carrier)


@pytest.fixture(scope="module")
def compared(stack: LocalStack, request: pytest.FixtureRequest) -> Compared:
    wanted = int(request.config.getoption("--interruptions", SMOKE))
    chance = random.Random(request.config.getoption("--heard-seed", SEED))
    times = max(3, min(20, wanted // AT_ONCE))
    scenes = [
        a_caller_who_cuts_in(chance, CARRIERS[number % 2], list(VOICES)[number // 2 % len(VOICES)], times)
        for number in range(-(-wanted // times))
    ]
    talks = asyncio.run(all_of(stack, scenes))
    said = {"welcome": GREETING + " ", "reply": REPLY + " "}
    cuts, left_out = {carrier: list[Comparison]() for carrier in CARRIERS}, dict.fromkeys(CARRIERS, 0)
    for scene, talk in zip(scenes, talks, strict=True):
        if stalled(talk.call):
            left_out[scene.carrier] += 1
        else:
            cuts[scene.carrier] += [reply for reply in compare(talk.call, talk.record, said) if reply.cut]
    return Compared(talks, cuts, left_out)


async def all_of(stack: LocalStack, scenes: list[Scene]) -> list[Seen]:
    async with visiting(stack) as house:
        await house.sandbox("PATCH", "/sandbox/knobs", paces())
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
    print(f"\n{COLUMNS}")
    for carrier, cuts in compared.cuts.items():
        print(row("the caller cuts in", carrier, cuts, compared.left_out[carrier]))
    every = [cut for cuts in compared.cuts.values() for cut in cuts]
    off = Counter(cut.off for cut in every)
    print(f"words too many (too few): {dict(sorted(off.items()))}")

    assert len(every) >= sum(len(talk.facts("interrupted")) for talk in compared.talks) / 2
    assert sum(cut.wrong <= 1 for cut in every) >= 0.99 * len(every), off
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
