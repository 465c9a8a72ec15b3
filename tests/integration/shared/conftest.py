"""What the tests of the bus share: servers, a connected bus, and events to send."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from faststream.nats import NatsRouter

from calliope.contracts.base import Event
from calliope.ids import new_id
from calliope.messaging.broker import Bus, build_broker, start, stop
from calliope.settings import NatsSettings
from support.nats import bus_settings, own_nats_server

__all__ = ["bus_settings", "own_nats_server"]

Connect = Callable[..., AbstractAsyncContextManager[Bus]]


@asynccontextmanager
async def connected_bus(settings: NatsSettings, *routers: NatsRouter, service: str = "webhooks") -> AsyncIterator[Bus]:
    bus = build_broker(settings, service, routers=routers, graceful_timeout_s=2.0)
    await start(bus, within_s=10)
    try:
        yield bus
    finally:
        await stop(bus)


@pytest.fixture
def connect(bus_settings: NatsSettings) -> Connect:
    """`async with connect(router, service="…") as bus`."""

    def open_bus(*routers: NatsRouter, service: str = "webhooks") -> AbstractAsyncContextManager[Bus]:
        return connected_bus(bus_settings, *routers, service=service)

    return open_bus


@pytest.fixture
async def bus(connect: Connect) -> AsyncIterator[Bus]:
    async with connect() as connected:
        yield connected


def an_event(name: str = "started", *, call: str = "call_9", sequence: int = 1, **fields: Any) -> Event:
    return Event(
        **{
            "id": new_id("evt"),
            "type": f"calliope.call.{name}.v1",
            "source": "/calliope/call-worker",
            "subject": f"call/{call}",
            "time": datetime(2026, 1, 2, tzinfo=UTC),
            "organization": "org_1",
            "sequence": sequence,
            "data": {"n": sequence},
            **fields,
        }
    )


@pytest.fixture
def make_event() -> Callable[..., Event]:
    return an_event
