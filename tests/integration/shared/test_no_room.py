"""A bus whose disk or account is full: publishing waits and says so, nothing is taken for refused, nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from calliope.contracts import subjects
from calliope.contracts.base import Event
from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import build_broker, start, stop
from calliope.messaging.publish import EventPublisher
from calliope.messaging.streams import EVENTS, MAX_MESSAGE_BYTES
from calliope.observability import metrics
from calliope.settings import NatsSettings
from support.nats import NatsServer, provisioned

ACCOUNT = "{ users = [{user: a, password: a}], jetstream { max_file: 3M, max_mem: 3M } }"
LIMITS = {
    "server": ("max_file_store: 3MB", ""),
    "account": ("", f"accounts {{ A {ACCOUNT} }}\nno_auth_user: a"),
}


class SmallServer(NatsServer):
    """A server with little room for streams."""

    def __init__(self, folder: Path, limit: str, extra: str) -> None:
        super().__init__(folder, extra_config=extra)
        self._limit = limit

    def run(self, command: list[str]) -> None:  # type: ignore[override]
        config = Path(command[-1])
        config.write_text(config.read_text().replace("sync_interval: always", f"sync_interval: always, {self._limit}"))
        super().run(command)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("whose", LIMITS)
async def test_a_full_bus_is_waited_for_and_told(tmp_path: Path, make_event: Callable[..., Event], whose: str) -> None:
    server = SmallServer(tmp_path, *LIMITS[whose])
    server.start()
    await provisioned(server.url)
    bus = build_broker(NatsSettings(url=server.url), "webhooks")
    await start(bus, within_s=10)
    publisher = EventPublisher(bus, budget_s=0.5)
    events = [make_event(sequence=n, data={"text": "x" * 200_000}) for n in range(1, 101)]
    stored: list[int] = []

    async def fill() -> None:
        for event in events:
            await publisher.publish(event)
            stored.append(event.sequence)

    try:
        with pytest.raises(TransientError, match="EVENTS has no room for more"):
            await fill()
        await bus.jetstream.purge_stream(EVENTS.name, keep=1)
        await publisher.publish(events[len(stored)])
        last = await publisher.publish(events[len(stored) + 1])
        journal = subjects.events_of(subjects.Entity.CALL)
        kept = [
            Event.model_validate_json((await bus.jetstream.get_msg(EVENTS.name, seq=n)).data or b"").sequence
            for n in range(last - 2, last + 1)
        ]
        assert await publisher.last_sequence(journal) == last
    finally:
        await stop(bus)
        server.stop()

    assert 0 < len(stored) < 100
    assert kept == [len(stored), len(stored) + 1, len(stored) + 2]
    assert (
        metrics.REGISTRY.get_sample_value("calliope_publish_retries_total", {"stream": "EVENTS", "reason": "no_room"})
        or 0
    ) > 0


async def test_an_event_that_is_too_large_for_its_stream_is_refused(
    bus_settings: NatsSettings, make_event: Callable[..., Event]
) -> None:
    bus = build_broker(bus_settings, "webhooks")
    await start(bus, within_s=10)
    small = EVENTS.config()
    small.max_msg_size = 1_000
    await bus.jetstream.update_stream(small)
    with pytest.raises(PermanentError, match="message size exceeds maximum allowed"):
        await EventPublisher(bus).publish(make_event(data={"text": "x" * 2_000}))
    with pytest.raises(PermanentError, match=f"are more than {MAX_MESSAGE_BYTES}"):
        await EventPublisher(bus).publish(make_event(data={"text": "x" * MAX_MESSAGE_BYTES}))
    await stop(bus)
