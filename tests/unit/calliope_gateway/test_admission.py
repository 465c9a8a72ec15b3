"""Places for requests: slow bodies and one class keep no other out; senders of refused hooks are slowed alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Literal, cast

import pytest

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.http.admission import Places, RequestClass
from calliope_gateway.http.hook_budget import ACCOUNTS_PER_ADDRESS, HookBudget, account_of
from calliope_gateway.settings import LimitSettings
from support.http_surface import AUTH, FakeBus, gateway

TWILIO = "/telephony/twilio/voice"
FORBIDDEN = CarrierResponse(status=403, content_type="text/plain", body="the signature is not valid")
WELL = CarrierResponse(status=200, body="<Response/>")
BURST = 3


class Trickle:
    """Bodies that stay on the way until they are let go."""

    def __init__(self) -> None:
        self.began: asyncio.Queue[None] = asyncio.Queue()
        self.let_go = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        yield b"A"
        self.began.put_nowait(None)
        await self.let_go.wait()
        yield b"=1"


def limits(**changed: Any) -> LimitSettings:
    return LimitSettings(concurrency=2, hook_concurrency=2, bodies_per_address=2, body_timeout_s=30, **changed)


async def test_slow_bodies_of_hooks_keep_neither_the_api_nor_whole_hooks_out() -> None:
    bus, slow = FakeBus(answers={Command.CALLS_ACCEPT: WELL}), Trickle()
    async with gateway(bus, limits=limits()) as client, asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(client.post(TWILIO, data=slow.body())) for _ in range(2)]
        for _ in waiting:
            await slow.began.get()
        assert (await client.post(TWILIO, data=slow.body())).status == 503  # one more slow one of this client
        assert (await client.post(TWILIO, data=b"CallSid=CA1")).status == 200
        assert (await client.get("/api/v1/nothing", headers=AUTH)).status == 404
        slow.let_go.set()
        assert [(await each).status for each in waiting] == [200, 200]


def test_one_client_leaves_places_for_the_bodies_of_others() -> None:
    places = Places(RequestClass.API, at_once=10, bodies=10, bodies_per_client=1)
    with places.work(), places.body("192.0.2.1"):
        with pytest.raises(CommandError) as refused, places.work(), places.body("192.0.2.1"):
            pass
        assert refused.value.code is ErrorCode.BUSY
        with places.work(), places.body("192.0.2.2"):
            pass
    with places.work(), places.body("192.0.2.1"):
        pass


def test_a_body_that_came_when_all_work_is_taken_is_refused_and_its_places_are_free_again() -> None:
    places = Places(RequestClass.API, at_once=1, bodies=10, bodies_per_client=10)

    def overtaken() -> None:
        with ExitStack() as other, places.work(), places.body("192.0.2.1"):
            other.enter_context(places.work())

    for _ in range(2):
        with pytest.raises(CommandError):
            overtaken()
    with places.work():
        pass


def a_hook(account: str, carrier: str = "twilio") -> CarrierRequest:
    body = f"CallSid=CA1&AccountSid={account}" if carrier == "twilio" else f'{{"connection_id": "{account}"}}'
    return sent(body.encode(), carrier=carrier)


def sent(body: bytes, *, carrier: str = "twilio", query: str = "") -> CarrierRequest:
    return CarrierRequest.model_construct(
        carrier=cast("Literal['twilio', 'telnyx']", carrier),
        method="POST",
        path_and_query=TWILIO + query,
        headers=(),
        body=body,
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def ask(budget: HookBudget, account: str, answer: CarrierResponse, *, client: str = "192.0.2.1") -> bool:
    """Whether a worker was asked."""
    try:
        with budget.asked(a_hook(account), client, 10.0) as asked:
            asked.answer = answer
    except CommandError as exc:
        return exc.code is not ErrorCode.RATE_LIMITED
    return True


@pytest.fixture
def budget() -> HookBudget:
    return HookBudget(rate_per_s=0.001, burst=BURST)


def test_an_account_with_a_wrong_token_is_slowed_and_no_other_of_its_carrier(budget: HookBudget) -> None:
    assert [ask(budget, "AC1", FORBIDDEN) for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert ask(budget, "AC2", WELL)
    assert ask(budget, "AC1", WELL, client="192.0.2.2")


def test_whoever_invents_accounts_is_slowed_by_address(budget: HookBudget) -> None:
    asked = [ask(budget, f"AC{number}", FORBIDDEN) for number in range(50)]
    assert asked.count(True) == BURST * ACCOUNTS_PER_ADDRESS
    assert not asked[-1]


def test_what_is_answered_well_is_not_counted(budget: HookBudget) -> None:
    assert all(ask(budget, "AC1", WELL) for _ in range(10 * BURST))


@pytest.mark.parametrize(
    ("hook", "account"),
    [
        (a_hook("AC1"), "AC1"),
        (a_hook("1494404757140276705", "telnyx"), "1494404757140276705"),
        (sent(b"", query="?AccountSid=AC2"), "AC2"),
        (sent(b"XAccountSid=AC1"), ""),
        (sent(b"\xff" * 60_000), ""),
    ],
)
def test_the_account_is_read_from_what_carriers_send(hook: CarrierRequest, account: str) -> None:
    assert account_of(hook) == account


async def test_a_flood_of_unsigned_hooks_reaches_workers_only_so_often() -> None:
    bus = FakeBus(answers={Command.CALLS_ACCEPT: FORBIDDEN})
    few = limits(refused_hooks_per_s=0.001, refused_hooks_burst=BURST)
    async with gateway(bus, limits=few) as client:
        answers = [await client.post(TWILIO, data=b"AccountSid=AC1&CallSid=CA1") for _ in range(3 * BURST)]
        assert [answer.status for answer in answers] == [403] * BURST + [429] * 2 * BURST
        assert int(answers[-1].headers["Retry-After"]) >= 1
    assert len(bus.work()) == BURST
