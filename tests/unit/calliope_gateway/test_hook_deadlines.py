"""Hooks are answered before their carrier gives up, whatever is away, and workers are asked when they want to be."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise, product
from typing import Final, Literal

import pytest

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.hooks.worker_search import LOOK_EVERY_S, LOOK_S
from calliope_gateway.http.telephony import CarrierHooks
from calliope_gateway.settings import GatewaySettings
from support.hook_workers import Answer, Workers, asks_back, away, blames, dead, declines, slow, well
from support.virtual_time import in_virtual_time

CARRIER_WAITS_S: Final = {"twilio": 15.0, "telnyx": 2.0}
ON_THE_WAY_S: Final = {"twilio": 1.0, "telnyx": 0.2}
"""There and back."""

WORKERS: Final[dict[str, Sequence[Answer]]] = {
    "none": (away,),
    "dead": (dead,),
    "dead, then none": (dead, away),
    "well": (well,),
    "slow": (slow(60.0),),
    "asks back": (asks_back(1.0),),
    "asks back late": (asks_back(1.0, after_s=0.6),),
    "asks back for long": (asks_back(30.0),),
    "asks back in turn with the dead": (asks_back(0.1, after_s=1.0), dead, asks_back(2.0), dead),
    "asks back at the last moment": (asks_back(0.1, after_s=1.6),),
}
FULL: Final = {"none": away, "dead": dead, "late": slow(1.9), "well": declines, "asks back": asks_back(5.0, 0.5)}
HOOKS: Final[Mapping[str, tuple[str | None, dict[str, str]]]] = {
    "a call": (None, {}),
    "a call that goes on": ("call_1", {}),
    "one that has waited long enough": ("call_1", {"media_ended": "1700000000000"}),
}
SETTINGS: Final[Sequence[dict[str, float]]] = ({}, {"carrier_timeout_s": 60.0}, {"carrier_timeout_s": 0.3})


def hook_of(carrier: str) -> CarrierRequest:
    named: Literal["twilio", "telnyx"] = "twilio" if carrier == "twilio" else "telnyx"
    return CarrierRequest(
        carrier=named, method="POST", path_and_query=f"/telephony/{carrier}/voice", headers=(), body=b""
    )


@asynccontextmanager
async def hooks_of(workers: Workers, **settings: float) -> AsyncIterator[CarrierHooks]:
    hooks = CarrierHooks(workers, GatewaySettings.model_validate(settings))
    keeping = hooks.keeping()
    await anext(keeping)
    try:
        yield hooks
    finally:
        with pytest.raises(StopAsyncIteration):
            await anext(keeping)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
@in_virtual_time
async def test_every_hook_is_answered_before_its_carrier_gives_up(carrier: str, workers: str) -> None:
    now, in_time_s = asyncio.get_running_loop().time, CARRIER_WAITS_S[carrier] - ON_THE_WAY_S[carrier]
    for full, hook, settings in product(FULL, HOOKS, SETTINGS):
        call_id, query = HOOKS[hook]
        async with hooks_of(Workers(*WORKERS[workers], full=FULL[full]), **settings) as hooks:
            began = now()
            await hooks.answer(hook_of(carrier), call_id=call_id, query=query)
            assert now() - began <= in_time_s, f"{hook}, all others {full}, {settings}"


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
@in_virtual_time
async def test_a_worker_that_names_when_to_ask_again_is_not_asked_before(carrier: str) -> None:
    workers = Workers(asks_back(1.0), asks_back(1.0), well)
    async with hooks_of(workers) as hooks:
        await hooks.answer(hook_of(carrier), call_id=None, query={})
        await asyncio.sleep(5.0)
    asked = [at for at, command in zip(workers.asked_at, workers.commands, strict=True) if _is_ask(command)]
    assert len(asked) == 3
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(asked))


@pytest.mark.promise("P4")
@pytest.mark.parametrize("busy", [away, asks_back(LOOK_EVERY_S)], ids=["nobody listens", "another has it"])
@pytest.mark.parametrize(("call_id", "carrier"), [(None, "twilio"), (None, "telnyx"), ("call_1", "twilio")])
@in_virtual_time
async def test_a_worker_that_comes_within_half_a_second_is_found_at_once(
    carrier: str, call_id: str | None, busy: Answer
) -> None:
    now = asyncio.get_running_loop().time
    workers = Workers(*[busy] * 5, well)
    async with hooks_of(workers) as hooks:
        answer = await hooks.answer(hook_of(carrier), call_id=call_id, query={})
    assert answer == await well()
    assert now() == pytest.approx(5 * LOOK_EVERY_S)


@in_virtual_time
async def test_a_full_house_says_so_after_as_long_as_a_free_slot_is_looked_for() -> None:
    now = asyncio.get_running_loop().time
    async with hooks_of(Workers(away, full=declines)) as hooks:
        assert await hooks.answer(hook_of("telnyx"), call_id=None, query={}) == await declines()
    assert LOOK_S - LOOK_EVERY_S <= now() <= LOOK_S


@pytest.mark.promise("P4")
@in_virtual_time
async def test_a_slow_worker_is_waited_for_after_telnyx_was_answered_and_no_other_is_asked_for_it() -> None:
    """What it is told to send again, a worker has in its hands."""
    taken = asyncio.Event()

    async def takes_its_time() -> CarrierResponse:
        await asyncio.sleep(4.0)
        taken.set()
        return await well()

    workers = Workers(takes_its_time)
    async with hooks_of(workers, carrier_again_s=100.0) as hooks:
        assert (await hooks.answer(hook_of("telnyx"), call_id=None, query={})).status == 503
        assert not taken.is_set()
        await asyncio.sleep(30.0)
        assert taken.is_set()
    assert workers.commands == [Command.CALLS_ACCEPT]


@in_virtual_time
async def test_what_telnyx_told_is_kept_for_as_long_as_a_caller_waits() -> None:
    workers = Workers(away)
    async with hooks_of(workers, resume_wait_s=20.0) as hooks:
        assert (await hooks.answer(hook_of("telnyx"), call_id=None, query={})).status == 503
        await asyncio.sleep(100.0)
    assert 19.0 < workers.asked_at[-1] <= 20.0


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
@in_virtual_time
async def test_a_hook_that_is_to_blame_is_refused(carrier: str) -> None:
    async with hooks_of(Workers(asks_back(0.5), blames)) as hooks:
        with pytest.raises(CommandError, match="that is no hook"):
            await hooks.answer(hook_of(carrier), call_id=None, query={})


def _is_ask(command: str) -> bool:
    return command == Command.CALLS_ACCEPT
