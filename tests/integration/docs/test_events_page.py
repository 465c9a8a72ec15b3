"""docs/events.md: every program on it runs as it stands, against a real bus, and does what the page says."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO

import nats
import pytest
from standardwebhooks import Webhook

from calliope.contracts.catalogue import EVENTS as DECLARED
from calliope.messaging.provision import provision
from calliope_local.environment import PORT_NAMES, Ports
from calliope_local.probes import accepts_tcp, free_ports
from calliope_local.processes import Guardian, Process
from calliope_local.programs import command
from calliope_webhooks.fanout import _KINDS
from support.doc_blocks import DOCS, block, blocks_of

PAGE = "events.md"
LINE_S = 20.0
SECRET = "whsec_bXkgc2VjcmV0IG15IHNlY3JldCBteSBzZWNyZXQ="
EVENTS = ("started", "answered", "ended")


def event(name: str) -> dict[str, object]:
    number = EVENTS.index(name) + 1
    return {"id": f"evt_{number}", "type": f"calliope.call.{name}.v1", "subject": "call/call_1", "sequence": number}


async def publish(port: int, *names: str) -> None:
    async with asyncio.timeout(10):
        bus = await nats.connect(f"nats://127.0.0.1:{port}")
        for name in names:
            subject = f"calliope.evt.org_1.call.call_1.{name}"
            await bus.jetstream().publish(subject, json.dumps(event(name)).encode())
        await bus.close()


@pytest.fixture
def bus_port(tmp_path: Path) -> Iterator[int]:
    """The local bus with two events."""
    ports = Ports(**dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True)))
    with Guardian() as guardian:
        process = Process("nats", command("nats", tmp_path, ports), {}, tmp_path / "log", guardian)
        process.start()
        try:
            process.wait_ready(accepts_tcp(ports.nats), within_s=10)
            asyncio.run(provisioned(ports.nats))
            asyncio.run(publish(ports.nats, "started", "answered"))
            yield ports.nats
        finally:
            process.stop()


async def provisioned(port: int) -> None:
    async with asyncio.timeout(10):
        bus = await nats.connect(f"nats://127.0.0.1:{port}")
        await provision(bus.jetstream())
        await bus.close()


def tell(output: IO[str], lines: "Queue[str]") -> None:
    for line in output:
        lines.put(line.rstrip())


@contextmanager
def running(text: str, folder: Path) -> Iterator["Queue[str]"]:
    """The lines that a program of the page prints."""
    file = folder / "program.py"
    file.write_text(text)
    lines: Queue[str] = Queue()
    child = subprocess.Popen(  # noqa: S603 - a program of our own page
        [sys.executable, "-u", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdout is not None
    reader = Thread(target=tell, args=(child.stdout, lines))
    reader.start()
    try:
        yield lines
    finally:
        child.kill()
        child.wait()
        reader.join()
        child.stdout.close()


def on_bus(mark: str, port: int) -> str:
    text = block(PAGE, mark)
    assert "127.0.0.1:4222" in text
    return text.replace("127.0.0.1:4222", f"127.0.0.1:{port}")


def test_live_events_come_as_they_happen(bus_port: int, tmp_path: Path) -> None:
    with running(on_bus("live", bus_port), tmp_path) as lines:
        assert lines.get(timeout=LINE_S) == "listening"
        asyncio.run(publish(bus_port, "ended"))
        assert lines.get(timeout=LINE_S) == "call/call_1 3 calliope.call.ended.v1"


def test_a_durable_begins_at_the_beginning_and_goes_on_where_it_was(bus_port: int, tmp_path: Path) -> None:
    program = on_bus("durable", bus_port)
    with running(program, tmp_path) as lines:
        assert lines.get(timeout=LINE_S) == "1 evt_1 calliope.call.started.v1"
        assert lines.get(timeout=LINE_S) == "2 evt_2 calliope.call.answered.v1"
        asyncio.run(publish(bus_port, "ended"))
        assert lines.get(timeout=LINE_S) == "3 evt_3 calliope.call.ended.v1"
        asyncio.run(acknowledged(bus_port, 3))
    with running(program, tmp_path) as lines:
        asyncio.run(publish(bus_port, "started"))
        assert lines.get(timeout=LINE_S) == "4 evt_1 calliope.call.started.v1"


async def acknowledged(port: int, sequence: int) -> None:
    async with asyncio.timeout(10):
        bus = await nats.connect(f"nats://127.0.0.1:{port}")
        while True:
            floor = (await bus.jetstream().consumer_info("EVENTS", "billing")).ack_floor
            if floor is not None and floor.stream_seq >= sequence:
                break
            await bus.flush()
        await bus.close()


def test_a_replay_begins_at_its_sequence(bus_port: int, tmp_path: Path) -> None:
    with running(on_bus("replay", bus_port), tmp_path) as lines:
        assert lines.get(timeout=LINE_S) == "2 calliope.call.answered.v1"


def test_a_receiver_sees_what_is_missing_and_what_comes_again(tmp_path: Path) -> None:
    with running(block(PAGE, "proof"), tmp_path) as lines:
        said = [lines.get(timeout=LINE_S) for _ in range(5)]

    assert said == ["1 new", "3 new", "3 again", "4 new", "missing [2]"]


def test_the_receiver_takes_what_is_signed_once_and_refuses_the_rest(tmp_path: Path) -> None:
    [port] = free_ports(1)
    program = block(PAGE, "receiver").replace("port=9000", f"port={port}")
    assert f"port={port}" in program
    assert SECRET in program
    body = json.dumps(event("ended"))
    with running(program, tmp_path) as lines:
        assert "Running on" in lines.get(timeout=LINE_S)
        assert post(port, body, SECRET) == 204
        assert post(port, body, SECRET) == 204
        assert post(port, body, "whsec_" + "b3RoZXI" * 4) == 401
        assert post(port, json.dumps(event("started")), SECRET) == 204
        said = [line for line in (lines.get(timeout=LINE_S) for _ in range(3)) if "CTRL+C" not in line]
        assert said[0] == "call/call_1 3 calliope.call.ended.v1"
        assert said[1] == "call/call_1 1 calliope.call.started.v1", "a repeat is not told again"


def post(port: int, body: str, secret: str) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "evt_3",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_3", now, body),
    }
    ask = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body.encode(), headers=headers)
    try:
        with urllib.request.urlopen(ask, timeout=10) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code


def test_every_program_of_the_page_is_run_here() -> None:
    marks = {each.mark for each in blocks_of(PAGE) if each.language == "python"}

    assert marks == {"receiver", "live", "durable", "replay", "proof"}


def test_the_page_says_which_events_come_to_webhooks() -> None:
    text = (DOCS / PAGE).read_text()
    sent, not_sent = text.split("come on the bus only")[0].rsplit("\n\n", 1)
    entities = {shape.entity.value for shape in DECLARED}

    for entity in entities:
        assert (f"`calliope.{entity}.*`" in sent) == (entity in _KINDS), entity
        assert (f"`calliope.{entity}.*`" in not_sent) == (entity not in _KINDS), entity
