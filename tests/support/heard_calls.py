"""Callers who listen to a long answer in which something breaks, and then cut in or hang up; by a seed."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from calliope_local.stack import LocalStack
from support.chaos import breaking, complete
from support.heard import Comparison, compare_over_streams
from support.house import House, Json, PhoneLine
from support.scenes import Scene, place, prepared

CARRIERS: Final = ("twilio", "telnyx")
VOICES: Final = {
    "arnold": ("VR6AewLTigWG4xSOukaG", 35),
    "domi": ("AZnzlk1XvdvUeBnXmlld", 45),
    "bella": ("EXAVITQu4vr4xnSDxMaL", 60),
    "adam": ("pNInz6obpgDQGcFmaJgB", 80),
}
"""Their paces, in ms a character: no other test speaks with them."""
REPLY: Final = (
    "Okay, the harbour is a wide one; it lies between two hills, and every boat that comes in by night is seen from"
    " the tower. I know of no other place like it. In winter a storm may close the entrance for extraordinarily many"
    " days, but in summer it is open to all, and a great number of unmistakably foreign ships anchor there."
)
ASKED: Final = "begin"
CUTS_IN: Final = ("stop", "no", "wait now")
STALLED_MS: Final = 100.0
"""A carrier whose own clock stood still for longer played on after our `clear`: nobody can know what was heard then."""
NEAR_MS: Final = 500.0
"""So near to a moment at which something was cut that matters."""
LONGEST_MS: Final = 2_500
"""How long the caller listens at most once the answer goes on."""
STOPS_MS: Final = 600
"""Until the assistant has stopped for a caller who cut in."""
SPREAD_MS: Final = 4_000
"""Over so long the answers of one round begin."""
CALL_S: Final = 45.0
RECORD_S: Final = 30.0
GREETED: Final[tuple[Json, ...]] = ({"wait_for": "Anna"}, {"wait_for_silence_ms": 200})
WORKERS: Final = ("worker", "worker-2")


@dataclass(slots=True)
class Listening:
    """The calls of a run: answers compared by carrier, calls whose carrier did not keep time, and what went wrong."""

    replies: dict[str, list[Comparison]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    problems: list[str] = field(default_factory=list)

    def add(self, carrier: str, call: Json, record: Json) -> None:
        """A call that is over, and was struck."""
        if call["failed"] is not None:
            self.problems.append(f"{carrier} {call['sid']}: {call['failed']}")
        elif stalled(call):
            self.left_out[carrier] += 1
        else:
            try:
                self.replies[carrier].append(compare_over_streams(call, record, REPLY, asked=ASKED))
            except AssertionError as exc:
                self.problems.append(f"{carrier} {call['sid']}: {exc}")


def stalled(call: Json) -> bool:
    """Whether the carrier's own clock stood still when it was told to drop audio, a stream ended, or the call did."""
    ended = [at for _, at in call["stream_times_ms"] if at is not None]
    cuts = [*ended, *call["clears_ms"]]
    long = [at for at, late in call["stalls_ms"] if late >= STALLED_MS]
    return any(abs(at - cut) < NEAR_MS for at in long for cut in cuts)


def document_of(voice: str) -> Json:
    """An assistant whom one word interrupts at once."""
    return {
        "tts_settings": {"provider": "elevenlabs", "voice_id": voice},
        "interruption_settings": {"interruption_threshold": 1, "min_speaking_time": 0, "interruption_cooldown": 0.1},
    }


def paces() -> Json:
    """The sandbox's knobs for these voices."""
    return {"elevenlabs": {"voice_char_ms": dict(VOICES.values())}}


def leaving(chance: random.Random) -> list[Json]:
    """Listen for a while and cut in, or put the phone down."""
    after_ms = chance.uniform(0, LONGEST_MS)
    if chance.random() < 0.25:
        return [{"pause_ms": after_ms}, {"hang_up": True}]
    cut_in: Json = {"interrupt": {"after_ms": after_ms, "say": chance.choice(CUTS_IN)}}
    return [cut_in, {"pause_ms": STOPS_MS}, {"hang_up": True}]


def with_faults(chance: random.Random, carrier: str, voice: str, kind: str) -> Scene:
    """A caller whose carrier fails in mid-answer."""
    fault: Json = {"vendor": carrier, "kind": kind}
    begun: list[Json] = [{"say": ASKED}, {"wait_for": "Okay"}, {"pause_ms": chance.uniform(0, SPREAD_MS)}]
    if kind == "loses_marks":
        return _scene(
            [*begun, {"faults": [fault | {"ms": chance.uniform(100, 300)}]}, *leaving(chance)], carrier, voice
        )
    resumed: list[Json] = [{"faults": [fault]}, {"wait_for_silence_ms": 1_500}]
    return _scene([*begun, *resumed, *leaving(chance)], carrier, voice)


def _scene(script: Sequence[Json], carrier: str, voice: str) -> Scene:
    return Scene([*GREETED, *script], [{"say": REPLY}], document_of(voice), carrier=carrier)


async def listen(house: House, scenes: Iterable[Scene], at_once: int) -> Listening:
    """Play them and compare."""
    slots, seen = asyncio.Semaphore(at_once), Listening()

    async def one(scene: Scene) -> None:
        async with slots:
            line, _ = await prepared(house, scene)
            sid = await place(house, line, scene)
            try:
                call = await house.heard(sid, within_s=CALL_S)
                record = await house.record(line, sid, within_s=RECORD_S)
            except (AssertionError, TimeoutError) as exc:
                seen.problems.append(f"{scene.carrier} {sid}: {exc or 'no record'}")
            else:
                seen.add(scene.carrier, call, record)

    async with asyncio.TaskGroup() as tasks:
        for scene in scenes:
            tasks.create_task(one(scene))
    return seen


class Rounds:
    """Rounds of calls on the only worker; another one starts, and goes on with all of them when it is broken."""

    def __init__(self, house: House, stack: LocalStack, chance: random.Random, *, graceful: bool) -> None:
        self._house = house
        self._stack = stack
        self._chance = chance
        self._graceful = graceful
        self._lines: dict[tuple[str, str], tuple[PhoneLine, Scene]] = {}
        self._here, self._there = WORKERS
        self.seen = Listening()

    async def prepare(self) -> None:
        """One worker alone, and a line for each voice at each carrier."""
        await self._house.sandbox("PATCH", "/sandbox/knobs", paces())
        await breaking(lambda: self._stack.kill(self._there))
        for carrier in CARRIERS:
            for voice in VOICES:
                scene = _scene([], carrier, voice)
                self._lines[carrier, voice] = (await prepared(self._house, scene))[0], scene

    async def play(self, calls: int) -> None:
        """So many calls at each carrier, one break."""
        placed: list[tuple[str, PhoneLine, str]] = []
        for number in range(calls):
            for carrier in CARRIERS:
                line, scene = self._lines[carrier, list(VOICES)[number % len(VOICES)]]
                placed.append((carrier, line, await place(self._house, line, scene)))
        for _, _, sid in placed:
            await self._house.answered(sid)
        await breaking(lambda: self._stack.restart(self._there))
        async with asyncio.TaskGroup() as tasks:
            for carrier, line, sid in placed:
                tasks.create_task(self._one(carrier, line, sid, random.Random(self._chance.random())))
            await asyncio.sleep((SPREAD_MS + self._chance.uniform(1_000, 4_000)) / 1_000)
            ends = self._stack.terminate if self._graceful else self._stack.kill
            await breaking(lambda: ends(self._here))
        self._here, self._there = self._there, self._here

    async def end(self) -> None:
        """Both workers run again."""
        await breaking(lambda: self._stack.restart(self._there))

    async def _one(self, carrier: str, line: PhoneLine, sid: str, chance: random.Random) -> None:
        begun: list[Json] = [{"pause_ms": chance.uniform(0, SPREAD_MS)}, {"say": ASKED}, {"wait_for": "Okay"}]
        try:
            await self._house.add_steps(sid, begun)
            await self._house.answered(sid, streams=2, within_s=CALL_S)
            await self._house.add_steps(sid, leaving(chance))
            call = await self._house.heard(sid, within_s=CALL_S)
            record = await complete(self._house, line, sid, within_s=RECORD_S)
        except (AssertionError, TimeoutError) as exc:
            self.seen.problems.append(f"{carrier} {sid}: {exc or 'no record'}")
        else:
            self.seen.add(carrier, call, record)


def shares(seen: Listening) -> Mapping[str, float]:
    """Of each carrier's answers, how many are right within one word."""
    return {carrier: sum(one.wrong <= 1 for one in all_) / len(all_) for carrier, all_ in seen.replies.items()}
