"""The store or the bus is away, or slow, or full, for as long as `--away-s`, while calls talk: nothing is lost.

`make chaos` does it with fifty calls for two minutes each; the smoke with a few for seconds.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import nats
import pytest

from calliope.messaging.streams import EVENTS
from calliope_local.probes import free_ports
from calliope_local.stack import LocalStack
from support.chaos import breaking
from support.chaos_callers import a_caller, a_long_caller
from support.chaos_run import CALL_S, LINES, Lines, Outcome, call, judge_all
from support.house import visiting
from support.slow_link import SlowLink

pytestmark = [pytest.mark.chaos, pytest.mark.promise("P3")]
SLOW_S: Final = 3.0
AROUND_S: Final = 15.0
"""Calls begin so long before and end so long after."""
SEED: Final = 20_261_128


@dataclass(frozen=True, slots=True)
class Installation:
    """A stack whose services reach the store and the bus over links that can be made slow."""

    stack: LocalStack
    links: dict[str, SlowLink]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    ports = dict(zip(("nats", "mongo"), free_ports(2), strict=True))
    with SlowLink(ports["nats"]) as bus, SlowLink(ports["mongo"]) as store:
        addresses = {
            "CALLIOPE_NATS__URL": f"nats://127.0.0.1:{bus.port}",
            "CALLIOPE_MONGO__URL": f"mongodb://127.0.0.1:{store.port}",
        }
        services = ("gateway", "assistants", "webhooks", "worker")
        extra = {name: dict(addresses) for name in services}
        extra["worker"]["CALLIOPE_SLOTS"] = "100"
        with LocalStack(tmp_path_factory.mktemp("stack"), fixed=ports, extra=extra, outside_first=True) as stack:
            yield Installation(stack, {"nats": bus, "mongo": store})


@asynccontextmanager
async def stopped(installation: Installation, name: str) -> AsyncIterator[None]:
    """Killed, and started again afterwards."""
    await breaking(lambda: installation.stack.kill(name))
    yield
    await breaking(lambda: installation.stack.restart(name))


@asynccontextmanager
async def frozen(installation: Installation, name: str) -> AsyncIterator[None]:
    """It takes connections and says nothing."""
    installation.stack.pause(name)
    yield
    installation.stack.resume(name)


@asynccontextmanager
async def slow(installation: Installation, name: str) -> AsyncIterator[None]:
    """Every answer is late."""
    installation.links[name].delay_s = SLOW_S
    yield
    installation.links[name].delay_s = 0.0


@asynccontextmanager
async def full(installation: Installation, name: str) -> AsyncIterator[None]:
    """The stream of events takes nothing more."""
    client = await nats.connect(installation.stack.address(name, "nats"))
    try:
        jetstream = client.jetstream()
        config = (await jetstream.stream_info(EVENTS.name)).config
        state = (await jetstream.stream_info(EVENTS.name)).state
        old = config.max_bytes
        config.max_bytes = max(1, state.bytes)
        await jetstream.update_stream(config)
        yield
        config.max_bytes = old
        await jetstream.update_stream(config)
    finally:
        await client.close()


Break = Callable[[Installation, str], "object"]
SCENES: Final[dict[str, tuple[tuple[Callable[..., object], str], ...]]] = {
    "store stopped": ((stopped, "mongo"),),
    "store frozen": ((frozen, "mongo"),),
    "store slow": ((slow, "mongo"),),
    "bus stopped": ((stopped, "nats"),),
    "bus frozen": ((frozen, "nats"),),
    "bus slow": ((slow, "nats"),),
    "bus full": ((full, "nats"),),
    "both stopped": ((stopped, "nats"), (stopped, "mongo")),
}


async def while_away(installation: Installation, what: str, *, away_s: float, calls: int, seed: int) -> Outcome:
    """Calls that began before it and end after it; with a store that is away, others come and go meanwhile."""
    outcome = Outcome(what, 1, seed)
    chance = random.Random(seed)
    async with visiting(installation.stack, patience_s=CALL_S * 2) as house:
        lines = Lines(house)
        await lines.prepare()
        for carrier in LINES:
            await lines.next(carrier)
        async with asyncio.TaskGroup() as tasks:
            for number in range(calls):
                caller = a_long_caller(f"k{seed % 100}x{number}", away_s + AROUND_S, chance)
                tasks.create_task(call(lines, caller, LINES[number % 2], outcome))
            await asyncio.wait_for(lines.talking(calls), 60)
            await asyncio.sleep(AROUND_S / 2)  # all of them talk
            async with AsyncExitStack() as broken:
                for breaks, name in SCENES[what]:
                    await broken.enter_async_context(breaks(installation, name))  # type: ignore[arg-type]
                if what.startswith("store"):
                    for number in range(max(1, calls // 10)):
                        caller = a_caller(f"k{seed % 100}new{number}", chance)
                        tasks.create_task(call(lines, caller, LINES[number % 2], outcome))
                await asyncio.sleep(away_s)
        await judge_all(lines, outcome)
    return outcome


@pytest.mark.smoke
async def test_a_few_calls_do_not_notice_that_bus_and_store_are_away(installation: Installation) -> None:
    outcome = await while_away(installation, "both stopped", away_s=6, calls=4, seed=SEED)

    assert not outcome.problems, "\n".join(outcome.problems)
    assert sum(one.resumed for one in outcome.verdicts) == 0


@pytest.mark.parametrize("what", SCENES)
async def test_calls_do_not_notice_and_nothing_is_lost(
    installation: Installation, what: str, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    away_s, calls, seed = (int(pytestconfig.getoption(name)) for name in ("--away-s", "--calls", "--seed"))

    outcome = await while_away(installation, what, away_s=away_s, calls=calls, seed=seed)

    with capsys.disabled():
        print(f"\n{outcome.row()}")
    assert not outcome.problems, "\n".join(outcome.problems)
    assert sum(one.resumed for one in outcome.verdicts) == 0
