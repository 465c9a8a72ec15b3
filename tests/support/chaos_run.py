"""Many live calls on one stack while its processes are broken, again and again, by a seed.

`run` keeps `calls` callers on the line until everything that is to be broken has been; then it waits for the last of
them, reads every record, judges and counts: while calls talk, nobody reads.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from calliope_local.stack import LocalStack
from support.chaos import breaking
from support.chaos_callers import DESK, TOOL, TOOL_MS, ChaosCaller, a_busy_document, a_caller, a_model
from support.chaos_verdicts import Verdict, judge
from support.house import House, Json, PhoneLine, visiting

CALLS_A_LINE: Final = 40
LINES: Final = ("twilio", "telnyx")
NOTICED_S: Final = 2.0
"""A kubelet looks at its containers every second, and takes another to start one again. On a machine of its own a new
worker takes nothing from those that go on with calls; here all share two cores."""
CALL_S: Final = 300.0
RECORD_S: Final = 240.0
"""A call may end while what keeps records is away for two minutes."""
DELIVERED_S: Final = 120.0
WORST: Final = 8
READERS: Final = 4
_RUNS: Final = itertools.count(1)
WORKERS: Final = ("worker", "worker-2", "worker-3")
Break = Callable[[LocalStack, random.Random], None]


@dataclass(slots=True)
class Outcome:
    """One run: what was broken how often, and every call of it."""

    what: str
    times: int
    seed: int
    verdicts: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def silences_ms(self) -> list[float]:
        """At every takeover where the assistant owed speech; sorted."""
        return sorted(each.silence_ms for one in self.verdicts for each in one.takeovers if each.silence_ms is not None)

    @property
    def media_gaps_ms(self) -> list[float]:
        """At every takeover from the end of one media stream to the beginning of the next; sorted."""
        return sorted(each.media_gap_ms for one in self.verdicts for each in one.takeovers)

    def longest(self) -> str:
        """The longest silences, for whoever wants to know why."""
        owed = [
            (each.silence_ms, each) for one in self.verdicts for each in one.takeovers if each.silence_ms is not None
        ]
        worst = sorted(owed, key=lambda each: each[0], reverse=True)[:WORST]
        return "; ".join(f"{ms:.0f} ms ({each.phase}; {each.media_gap_ms:.0f} without media)" for ms, each in worst)

    def steps(self) -> str:
        """What the silences are made of."""
        found = [each for one in self.verdicts for each in one.steps]
        told = {"until taken": [each.taken_ms for each in found], "until media": [each.connected_ms for each in found]}
        return "; ".join(f"{name}: p50 {at(sorted(ms), 0.5):.0f}, p95 {at(sorted(ms), 0.95):.0f} ms"
                         for name, ms in told.items())  # fmt: skip

    def row(self) -> str:
        """As a line of the table in docs/resilience.md."""
        silences, resumed = self.silences_ms, sum(one.resumed for one in self.verdicts)
        gaps = self.media_gaps_ms
        phases = Counter(each.phase for one in self.verdicts for each in one.takeovers)
        lost = sum(any(problem.startswith("lost") for problem in one.problems) for one in self.verdicts)
        cells = [
            self.what,
            str(self.times),
            str(self.seed),
            str(len(self.verdicts)),
            str(lost),
            str(resumed),
            f"{at(silences, 0.5):.0f}",
            f"{at(silences, 0.95):.0f}",
            f"{at(silences, 1.0):.0f}",
            f"{at(gaps, 0.5):.0f}",
            f"{at(gaps, 0.95):.0f}",
            str(sum(one.doubled_words for one in self.verdicts)),
            str(sum(one.missing_words for one in self.verdicts)),
            ", ".join(f"{phase} {count}" for phase, count in phases.most_common()),
        ]
        return "| " + " | ".join(cells) + " |"


COLUMNS: Final = (
    "| broken | times | seed | calls | lost | takeovers | silence p50 ms | p95 ms | max ms | without media p50 ms "
    "| p95 ms | words twice | words missing | phases |"
)


def at(values: Sequence[float], share: float) -> float:
    """The value below which so much of the sorted values lies; NaN for none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


async def run(
    stack: LocalStack, what: str, breaks: Sequence[Break], *, calls: int, seed: int, pause_s: float
) -> Outcome:
    """Break one thing after the other while so many callers are on the line; then judge every call.

    Between two of them passes a random time up to `pause_s`. With many calls it must be long enough for the processes
    that start anew and for what goes on elsewhere: else vendors' emulators are late on a small machine, and it is
    their lateness that is tried.
    """
    outcome = Outcome(what, len(breaks), seed)
    async with visiting(stack, patience_s=CALL_S * 2) as house:
        place = Lines(house)
        await place.prepare()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in range(calls):
                tasks.create_task(_keep_calling(place, f"k{seed % 100}x{number}", over, outcome))
            await asyncio.wait_for(place.talking(min(calls, 3)), CALL_S)
            chance = random.Random(seed)
            for one in breaks:
                await asyncio.sleep(chance.uniform(0.2, pause_s))  # the moment is what is tried
                await breaking(partial(one, stack, chance))
            over.set()
        await judge_all(place, outcome)
    return outcome


def kill_a_worker(stack: LocalStack, chance: random.Random) -> None:
    """`kill -9` of one of three, and a new one in its place once an orchestrator would have noticed."""
    name = chance.choice(WORKERS)
    stack.kill(name)
    time.sleep(NOTICED_S)  # in a thread of its own, see `breaking`
    stack.restart(name)


def deploy(stack: LocalStack, chance: random.Random) -> None:
    """A rolling restart of all workers: SIGTERM, its patience, a new one, the next."""
    for name in chance.sample(WORKERS, len(WORKERS)):
        stack.terminate(name)
        time.sleep(NOTICED_S)
        stack.restart(name)


def restart(name: str) -> Break:
    """`kill -9` of a backing service, and its return a moment later."""

    def breaks(stack: LocalStack, _: random.Random) -> None:
        stack.kill(name)
        stack.restart(name)

    return breaks


@dataclass(frozen=True, slots=True)
class Called:
    """A call that is over for its caller."""

    caller: ChaosCaller
    line: PhoneLine
    sid: str
    heard: Json


class Lines:
    """Phone lines at both carriers, new ones after some calls each, so that pages of their calls stay small."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.over: list[Called] = []
        self._placed: Counter[str] = Counter()
        self._lines: dict[str, PhoneLine] = {}
        self._making = asyncio.Lock()
        self._tool = f"{TOOL}-{next(_RUNS)}"
        self._tool_url = ""
        self._talking = asyncio.Semaphore(0)

    async def prepare(self) -> None:
        """The model, the tool, and who is dialled."""
        await self.house.sandbox("POST", "/sandbox/llm/scripts", a_model())
        made = await self.house.sandbox("PUT", f"/sandbox/tools/{self._tool}", {"delay_ms": TOOL_MS, "body": "booked"})
        self._tool_url = str(made["url"])
        await self.house.sandbox("PUT", f"/sandbox/twilio/dialled/%2B{DESK[1:]}", {"outcome": "completed"})

    async def asked(self) -> set[str]:
        """The idempotency keys that the tool of this run was asked with."""
        entries = await self.house.sandbox("GET", f"/sandbox/records/tools?name={self._tool}")
        return {str(entry["headers"]["idempotency-key"]) for entry in entries}

    async def next(self, carrier: str) -> PhoneLine:
        """A line of this carrier for one more call."""
        async with self._making:
            if self._placed[carrier] % CALLS_A_LINE == 0:
                self._lines[carrier] = await self.house.phone_line(a_busy_document(self._tool_url), carrier=carrier)
            self._placed[carrier] += 1
            return self._lines[carrier]

    def began(self) -> None:
        """One more call talks."""
        self._talking.release()

    async def talking(self, count: int) -> None:
        """Until so many calls have begun."""
        for _ in range(count):
            await self._talking.acquire()


async def _keep_calling(lines: Lines, tag: str, over: asyncio.Event, outcome: Outcome) -> None:
    """One caller after the other."""
    chance = random.Random(f"{outcome.seed} {tag}")
    number = 0
    while not over.is_set():
        await call(lines, a_caller(f"{tag}n{number}", chance), chance.choice(LINES), outcome)
        number += 1


async def call(lines: Lines, caller: ChaosCaller, carrier: str, outcome: Outcome) -> None:
    """One call from its ring to its end; `judge_all` reads the rest."""
    line = await lines.next(carrier)
    try:
        sid = await lines.house.place(line, caller.script)
        lines.began()
        lines.over.append(Called(caller, line, sid, await lines.house.heard(sid, within_s=CALL_S)))
    except (AssertionError, TimeoutError) as exc:
        outcome.problems.append(_told(caller, exc))


async def judge_all(lines: Lines, outcome: Outcome) -> None:
    """Every call is judged by its record, every event was delivered, and no tool was asked but as the records say."""
    reading = asyncio.Semaphore(READERS)
    events: dict[str, tuple[PhoneLine, set[str]]] = {}

    async def judged(called: Called) -> None:
        caller, line = called.caller, called.line
        try:
            async with reading:
                verdict = judge(caller, called.heard, await _complete(lines.house, line, called.sid))
        except (AssertionError, TimeoutError) as exc:
            outcome.problems.append(_told(caller, exc))
            return
        outcome.problems += [f"{caller.kind} {caller.tag} {line.carrier}: {one}" for one in verdict.problems]
        outcome.verdicts.append(verdict)
        events.setdefault(line.hook, (line, set()))[1].update(verdict.event_ids)

    async with asyncio.TaskGroup() as tasks:
        for called in lines.over:
            tasks.create_task(judged(called))
    known = {key for one in outcome.verdicts for key in one.tool_keys}
    if strange := await lines.asked() - known:
        outcome.problems.append(f"the tool was asked {len(strange)} times with keys that no record has")
    delivered: list[Awaitable[object]] = [
        lines.house.delivered_ids(line, ids, within_s=DELIVERED_S) for line, ids in events.values()
    ]
    for one in await asyncio.gather(*delivered, return_exceptions=True):
        if isinstance(one, Exception):
            outcome.problems.append(f"not delivered: {str(one)[:300]}")


async def _complete(house: House, line: PhoneLine, sid: str) -> Json:
    async with asyncio.timeout(RECORD_S):
        while True:
            record = await house.record(line, sid, within_s=RECORD_S)
            if len(record["events"]) == max(event["sequence"] for event in record["events"]):
                return record
            await asyncio.sleep(0.2)  # a fact that was told again may come after later ones


def _told(caller: ChaosCaller, exc: Exception) -> str:
    return f"{caller.kind} {caller.tag}: {str(exc)[:500] or type(exc).__name__}"
