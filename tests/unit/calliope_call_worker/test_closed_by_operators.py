"""A call that no worker has is closed for an operator at once, and one that somebody has is let alone."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from calliope.contracts.base import Event, Message
from calliope.contracts.calls import CallEnded, CallStarted, EndReason
from calliope.contracts.live_calls import Closure
from calliope_call_worker.calls.authenticate import BegunCall, HookAuthenticator
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.lost_calls import QUIET_S, LostCalls
from calliope_call_worker.ports import Journals, OpenCalls
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi
from calliope_call_worker.settings import WorkerSettings

STARTED = CallStarted(
    direction="inbound", from_number="+15550001", to_number="+15550002", assistant_id="asst_1",
    assistant_revision=1, carrier="twilio", carrier_call_id="CA1", worker_id="worker_0",
)  # fmt: skip


def a_fact(name: str, data: dict[str, Any], sequence: int, age_s: float) -> Event:
    return Event.model_validate(
        {
            "id": f"evt_{sequence}",
            "type": f"calliope.call.{name}.v1",
            "source": "/calliope/call-worker",
            "subject": "call/call_1",
            "time": datetime.now(UTC) - timedelta(seconds=age_s),
            "organization": "org_1",
            "sequence": sequence,
            "data": data,
        }
    )


class World:
    """The journal of a call, its lease, and the carrier."""

    def __init__(self, *ages_s: float, held: bool = False, ended: bool = False, contested: bool = False) -> None:
        begun = STARTED.model_dump(mode="json")
        names = [
            ("started", begun),
            ("answered", {"stream_id": "MZ1"}),
            ("ended", {"reason": "idle", "duration_ms": 1}),
        ]
        count = len(ages_s) + ended
        self.facts = tuple(
            a_fact(name, data, number, age_s)
            for number, ((name, data), age_s) in enumerate(zip(names[:count], (*ages_s, 0.0), strict=False), start=1)
        )
        self.held, self.contested = held, contested
        self.written: list[Message] = []
        self.forgotten: list[str] = []
        self.hung_up: list[str] = []

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        return self.facts, len(self.facts)

    async def reopen(self, facts: tuple[Event, ...], last: int, first: Message) -> None:
        if self.contested:
            raise OwnershipError("another worker writes this call")
        self.written.append(first)

    async def is_held(self, call_id: str) -> bool:
        return self.held

    async def forget(self, call_id: str) -> None:
        self.forgotten.append(call_id)

    async def accounts_of(self, call: BegunCall) -> Sequence[CarrierAccount]:
        return [CarrierAccount("AC1", "t")]

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        self.hung_up.append(carrier_call_id)

    async def closed(self) -> Closure:
        lost_calls = LostCalls(
            settings=WorkerSettings(),
            open_calls=cast("OpenCalls", self),
            journals=cast("Journals", self),
            authenticator=cast("HookAuthenticator", self),
            apis={"twilio": cast("CarrierApi", self)},
        )
        return await lost_calls.close("call_1")


async def test_its_record_ends_as_a_lost_one_and_the_line_is_put_down() -> None:
    world = World(60.0, QUIET_S + 1)
    assert await world.closed() is Closure.CLOSED
    (end,) = world.written
    assert isinstance(end, CallEnded)
    assert (end.reason, "operator" in end.detail) == (EndReason.WORKER_LOST, True)
    assert (world.hung_up, world.forgotten) == (["CA1"], ["call_1"])


@pytest.mark.parametrize(
    ("facts", "closure"),
    [
        (((60.0, 20.0), {"held": True}), Closure.HELD),
        (((60.0, 20.0), {"contested": True}), Closure.HELD),
        (((60.0, QUIET_S - 2), {}), Closure.HELD),
        (((60.0, 20.0), {"ended": True}), Closure.ENDED),
        (((), {}), Closure.UNKNOWN),
    ],
    ids=["a lease", "another writer", "a moment ago", "ended", "never began"],
)
async def test_a_call_that_somebody_has_or_that_is_over_gets_no_end(
    facts: tuple[tuple[float, ...], dict[str, bool]], closure: Closure
) -> None:
    ages_s, more = facts
    world = World(*ages_s, **more)
    assert await world.closed() is closure
    assert (world.written, world.hung_up) == ([], [])
