"""The local bus's read-only user: reads every event, live, from the beginning or from a sequence, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from calliope.contracts.subjects import Command
from calliope.messaging.provision import provision
from calliope.messaging.streams import CALLS_BUCKET, WEBHOOKS_FANOUT
from calliope_local.environment import PORT_NAMES, Ports
from calliope_local.nats_config import READER, READER_INBOX
from calliope_local.probes import accepts_tcp, free_ports
from calliope_local.processes import Guardian, Process
from calliope_local.programs import command

SUBJECT = "calliope.evt.org_1.call.call_1.{}"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`127.0.0.1:port` of the bus as the local stack has it, with two events."""
    folder = tmp_path_factory.mktemp("bus")
    ports = Ports(**dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True)))
    with Guardian() as guardian:
        process = Process("nats", command("nats", folder, ports), {}, folder / "log", guardian)
        process.start()
        process.wait_ready(accepts_tcp(ports.nats), within_s=10)
        asyncio.run(two_events(ports.nats))
        yield f"127.0.0.1:{ports.nats}"
        process.stop()


async def two_events(port: int) -> None:
    async with asyncio.timeout(10):
        service = await nats.connect(f"nats://127.0.0.1:{port}")
        await provision(service.jetstream())
        for name in ("started", "answered"):
            await service.jetstream().publish(SUBJECT.format(name), name.encode())
        await service.close()


@pytest.fixture
async def refusals() -> list[str]:
    """What the server refused the reader."""
    return []


@pytest.fixture
async def reader(url: str, refusals: list[str]) -> AsyncIterator[Client]:
    async def note(error: Exception) -> None:
        refusals.append(str(error))

    connection = await nats.connect(f"nats://{READER}:{READER}@{url}", inbox_prefix=READER_INBOX, error_cb=note)
    yield connection
    await connection.close()


@pytest.fixture
async def service(url: str) -> AsyncIterator[Client]:
    """As the services connect: without a name."""
    connection = await nats.connect(f"nats://{url}")
    yield connection
    await connection.close()


async def test_it_hears_events_as_they_come(reader: Client, service: Client) -> None:
    live = await reader.subscribe("calliope.evt.*.call.>")
    await reader.flush()

    await service.publish(SUBJECT.format("ended"), b"ended")

    assert (await live.next_msg(timeout=5)).data == b"ended"


async def test_it_reads_from_the_beginning_with_a_durable_of_its_own(reader: Client) -> None:
    durable = await reader.jetstream().pull_subscribe("calliope.evt.>", durable="mine", stream="EVENTS")

    messages = await durable.fetch(2, timeout=5)

    assert [message.data for message in messages] == [b"started", b"answered"]
    for message in messages:
        await message.ack_sync(timeout=5)
    assert await reader.jetstream().delete_consumer("EVENTS", "mine")


async def test_it_reads_from_a_sequence(reader: Client) -> None:
    config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=2)
    replay = await reader.jetstream().subscribe("calliope.evt.>", config=config, ordered_consumer=True)

    assert (await replay.next_msg(timeout=5)).data == b"answered"


@pytest.mark.parametrize(
    "subject",
    [
        Command.ASSISTANTS_LIST.value,
        Command.CALLS_ACCEPT.value,
        SUBJECT.format("ended"),
        f"$KV.{CALLS_BUCKET}.call_1",
        "calliope.open_call.call_1",
        f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{WEBHOOKS_FANOUT.name}",
        f"$JS.ACK.EVENTS.{WEBHOOKS_FANOUT.name}.1.1.1.1.1",
        f"$JS.API.CONSUMER.DELETE.EVENTS.{WEBHOOKS_FANOUT.name}",
        f"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.{WEBHOOKS_FANOUT.name}",
        f"$JS.API.CONSUMER.CREATE.EVENTS.{WEBHOOKS_FANOUT.name}",
        f"$JS.API.CONSUMER.CREATE.EVENTS.{WEBHOOKS_FANOUT.name}.calliope.evt.>",
        f"$JS.API.CONSUMER.CREATE.KV_{CALLS_BUCKET}.mine",
        f"$JS.API.DIRECT.GET.KV_{CALLS_BUCKET}.$KV.{CALLS_BUCKET}.call_1",
        f"$JS.API.STREAM.MSG.GET.KV_{CALLS_BUCKET}",
        "$JS.API.STREAM.MSG.GET.SCHED",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.UPDATE.EVENTS",
        "$JS.API.STREAM.MSG.DELETE.EVENTS",
        "$JS.API.STREAM.CREATE.MINE",
    ],
)
async def test_it_may_not_publish(reader: Client, service: Client, refusals: list[str], subject: str) -> None:
    heard = await service.subscribe(subject)
    await service.flush()

    await reader.publish(subject, b"{}", reply=f"{READER_INBOX}.answer")
    await reader.flush()
    await service.flush()

    assert [f'permissions violation for publish to "{subject.lower()}"' in text.lower() for text in refusals] == [True]
    assert heard.pending_msgs == 0


@pytest.mark.parametrize("subject", [">", "calliope.cmd.>", "_INBOX.>", "_INBOX.gateway.>", f"$KV.{CALLS_BUCKET}.>"])
async def test_it_may_not_listen_to(reader: Client, service: Client, refusals: list[str], subject: str) -> None:
    heard = await reader.subscribe(subject)
    await reader.flush()

    for other in ("_INBOX.gateway.1", Command.ASSISTANTS_LIST.value, f"$KV.{CALLS_BUCKET}.call_1"):
        await service.publish(other, b"secret")
    await service.flush()
    await reader.flush()

    assert any("permissions violation for subscription" in text.lower() for text in refusals)
    assert heard.pending_msgs == 0


async def test_a_consumer_of_a_service_cannot_be_changed_by_a_name_inside_the_request(
    reader: Client, service: Client
) -> None:
    before = await service.jetstream().consumer_info("EVENTS", WEBHOOKS_FANOUT.name)
    name = WEBHOOKS_FANOUT.name
    config = {"name": name, "durable_name": name, "ack_policy": "none", "filter_subject": "calliope.evt.nobody.>"}
    asked = json.dumps({"stream_name": "EVENTS", "config": config}).encode()

    for subject in ("", ".mine", ".mine.calliope.evt.nobody.>"):
        answer = await reader.request(f"$JS.API.CONSUMER.CREATE.EVENTS{subject}", asked, timeout=5)
        assert b'"error"' in answer.data
    answer = await reader.request("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine", asked, timeout=5)

    assert b'"error"' in answer.data
    after = await service.jetstream().consumer_info("EVENTS", WEBHOOKS_FANOUT.name)
    assert after.config == before.config


async def test_a_service_needs_no_name_and_may_do_everything(service: Client) -> None:
    with pytest.raises(NotFoundError):
        await service.jetstream().stream_info("NONE")
    assert (await service.jetstream().stream_info("EVENTS")).state.messages >= 2
