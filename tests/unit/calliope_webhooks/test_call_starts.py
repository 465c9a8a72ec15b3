"""Whose a call is: known from its start, whoever read that, and kept also when the store was away at first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope_webhooks.dispatcher import Dispatcher
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.model import Endpoint
from calliope_webhooks.outcome import Settler
from calliope_webhooks.ports import Announcement
from calliope_webhooks.service import Fanout, SystemClock


class Calls:
    """A store that fails for a number of writes."""

    def __init__(self, *, fails: int = 0) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self._fails = fails

    async def put_call(self, organization_id: str, call_id: str, assistant_id: str) -> None:
        self._fails -= 1
        if self._fails >= 0:
            raise TransientError("the store does not answer")
        self.kept[organization_id, call_id] = assistant_id

    async def get_call(self, organization_id: str, call_id: str) -> str | None:
        return self.kept.get((organization_id, call_id))


class Starts:
    """The bus, with the starts of some calls."""

    def __init__(self, **assistants: str) -> None:
        self.assistants = assistants
        self.asked = 0

    async def assistant_of(self, _organization_id: str, call_id: str) -> str | None:
        self.asked += 1
        return self.assistants.get(call_id)


class Nobody:
    """No endpoints; remembers whose were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def of_assistant(self, _organization_id: str, assistant_id: str) -> Sequence[Endpoint]:
        self.asked.append(assistant_id)
        return ()


def a_fanout(calls: Calls, starts: Starts) -> tuple[Fanout, Nobody]:
    endpoints = Nobody()
    dispatcher = cast("Dispatcher", None)  # nothing is planned without endpoints
    return Fanout(cast("EndpointBook", endpoints), calls, starts, dispatcher, SystemClock()), endpoints


def an_event(name: str, **data: Any) -> Event:
    return Event(
        id=f"evt_{name}", type=f"calliope.call.{name}.v1", source="/calliope/test", subject="call/call_1",
        time=datetime(2026, 1, 2, tzinfo=UTC), organization="org_1", sequence=2, data=data,
    )  # fmt: skip


async def test_an_event_before_its_start_finds_it_on_the_bus_and_asks_once() -> None:
    calls, starts = Calls(), Starts(call_1="asst_1")
    fanout, endpoints = a_fanout(calls, starts)

    await fanout.plan(an_event("answered"), b"")
    await fanout.plan(an_event("ended"), b"")

    assert endpoints.asked == ["asst_1", "asst_1"]
    assert (starts.asked, calls.kept) == (1, {("org_1", "call_1"): "asst_1"})


async def test_a_call_without_a_start_is_tried_again() -> None:
    fanout, _ = a_fanout(Calls(), Starts())

    with pytest.raises(TransientError, match="is not on the bus"):
        await fanout.plan(an_event("answered"), b"")


async def test_a_start_that_the_store_did_not_take_is_kept_at_the_next_try() -> None:
    """It was remembered before it was kept; the second try then found nothing to do."""
    calls = Calls(fails=1)
    fanout, _ = a_fanout(calls, Starts())
    started = an_event("started", assistant_id="asst_1")

    with pytest.raises(TransientError):
        await fanout.plan(started, b"")
    await fanout.plan(started, b"")

    assert calls.kept == {("org_1", "call_1"): "asst_1"}


async def test_a_death_that_the_bus_refuses_holds_up_no_other() -> None:
    class Rows:
        left: tuple[str, ...] = ("dlv_1", "dlv_2", "dlv_3")

        async def unannounced(self, _limit: int) -> list[tuple[str, Announcement]]:
            return [(each, Announcement(f"evt_{each}", "s", b"")) for each in self.left]

        async def announced(self, delivery_id: str, _event_id: str) -> None:
            self.left = tuple(each for each in self.left if each != delivery_id)

    class Bus:
        async def publish(self, announcement: Announcement, *, now_ms: int) -> None:
            if announcement.event_id == "evt_dlv_2":
                raise PermanentError("refused")

    rows, unused = Rows(), cast("Any", None)
    clock: Any = SimpleNamespace(now_ms=lambda: 0)
    settler = Settler(cast("Any", rows), unused, unused, unused, Bus(), clock, 15.0)

    await settler.announce(100)

    assert rows.left == ("dlv_2",)
