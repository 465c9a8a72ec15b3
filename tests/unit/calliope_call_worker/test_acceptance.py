"""Who gets which call: duplicated hooks, and hooks that name the call of somebody else."""

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

import pytest

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.calls import CarrierRequest
from calliope.errors import TransientError
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import CarriersSettings, TwilioSettings, WorkerSettings
from support.acceptance import FakeAssistants, done, hooks_among

ACCOUNT = {"account_sid": "AC" + "2" * 32, "auth_token": "0" * 32}
OURS, THEIRS = "+15550000001", "+15550000002"
ORGANIZATIONS = {OURS: "org_1", THEIRS: "org_2"}


def an_assistant(organization_id: str) -> PinnedAssistant:
    document = {"name": "Ann", "llm_provider_config": {"api_key": "k"}}
    return PinnedAssistant(id="asst_1", organization_id=organization_id, revision=1, document=document)


class TrustingTwilio(Twilio):
    """Signatures are tested where they are made."""

    def verify(self, *_: Any) -> bool:
        return True


class House:
    """What acceptance needs of others; the bus takes a call's first fact when `open`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.elsewhere = False
        self.begun: list[CallPlan] = []
        self.live = LiveCalls(5, lambda: None)
        settings = WorkerSettings(carriers=CarriersSettings(twilio=TwilioSettings.model_validate(ACCOUNT)))
        around: Any = self
        self.hooks = hooks_among(
            around,
            assistants=FakeAssistants({number: an_assistant(owner) for number, owner in ORGANIZATIONS.items()}),
            settings=settings,
            carriers={"twilio": TrustingTwilio()},
            orders=CarrierOrders({}, around),
            live=self.live,
            refusals=around,
            start=self.start,
        )

    async def create(self, *_: Any) -> None:
        if self.elsewhere:
            raise OwnershipError("another worker has it")
        await self.open.wait()

    async def note(self, call_id: str) -> None:
        """See `OpenCalls`."""

    async def take(self, *_: Any) -> None:
        """A lease."""

    def drop(self, call_id: str) -> None:
        """See `Leases`."""

    async def start(self, plan: CallPlan, _: Any) -> None:
        self.begun.append(plan)
        self.live.register(Ringing(plan))

    async def rings(self, number: str, call_sid: str = "CA1") -> str:
        """What the carrier is answered."""
        form = {"CallSid": call_sid, "AccountSid": ACCOUNT["account_sid"], "From": "+15550001111", "To": number}
        body = base64.b64encode(urlencode(form).encode())
        hook = CarrierRequest(carrier="twilio", method="POST", path_and_query="/voice", headers=(), body=body)
        return (await done(self.hooks.answer(hook))).body


class Ringing:
    """A call that runs."""

    ending = False
    waiting_facts = 0

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan

    def end(self, *_: Any) -> None:
        """Nobody asks."""

    async def released(self) -> None:
        """At once."""

    async def hand_over(self, within_s: float) -> None:
        await self.abandon()

    async def abandon(self) -> None:
        """Nobody asks."""

    def line_ended(self, *_: Any) -> None:
        """Nobody tells."""


@pytest.mark.promise("P3")
async def test_one_hook_that_comes_many_times_at_once_is_one_call_with_one_answer() -> None:
    house = House()
    house.open.clear()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        hooks = [tasks.create_task(house.rings(OURS), name=f"hook.{n}") for n in range(5)]
        await asyncio.sleep(0)
        house.open.set()

    assert len(house.begun) == 1
    assert {hook.result() for hook in hooks} == {await house.rings(OURS)}
    assert house.begun[0].token in hooks[0].result()


@pytest.mark.promise("P8")
async def test_who_knows_the_id_of_anothers_call_is_not_given_its_token() -> None:
    """A tenant can sign what it likes with its own account's token, also an id that it saw elsewhere."""
    house = House()
    answered = await house.rings(OURS, "CA1")

    stranger = await house.rings(THEIRS, "CA1")

    ours, theirs = house.begun
    assert (ours.organization_id, theirs.organization_id) == ("org_1", "org_2")
    assert ours.token in answered
    assert ours.token not in stranger
    assert ours.call_id != theirs.call_id


@pytest.mark.promise("P4")
async def test_a_call_that_another_worker_has_is_neither_answered_nor_refused_here() -> None:
    house = House()
    house.elsewhere = True
    with pytest.raises(TransientError, match="another worker"):
        await house.rings(OURS)
    assert len(house.live) == 0
