"""docs/resilience.md: what its commands print is what they print."""

import json
import re
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from calliope.settings import NatsSettings
from support.admin import admin_here
from support.doc_blocks import blocks_of
from support.nats import bus_settings

__all__ = ["bus_settings"]

PAGE: Final = "resilience.md"
CALL: Final = "call_01jd5w8x0v3q"
COMMANDS: Final = [each.text for each in blocks_of(PAGE) if each.language == "console"]
_MOMENTS: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d\.\d{3}"), "TIME"),
    (re.compile(r"\b\d+ (s|min|h) ago"), "AGO"),
)


async def dead(jetstream: JetStreamContext, durable: str, reason: str, subject: str, detail: str) -> None:
    """A letter, whose message is number 1, 2 … of EVENTS."""
    error = "TransientError" if reason == "exhausted" else "PermanentError"
    place = 0 if reason == "refused" else (await jetstream.publish(subject, b'{"data": {}}')).seq
    headers = {
        "Calliope-Message-Id": "evt_01jd5w8x0v3r",
        "Calliope-Reason": reason,
        "Calliope-Error": error,
        "Calliope-Detail": detail,
        "Calliope-Subject": subject,
        "Calliope-Stream": "EVENTS",
        "Calliope-Stream-Sequence": str(place),
        "Calliope-Deliveries": "25" if reason == "exhausted" else "1",
    }
    await jetstream.publish(f"calliope.dead.{durable}.{reason}", b'{"data": {}}', headers=headers)


async def fact(jetstream: JetStreamContext, number: int, name: str, **data: object) -> None:
    """Of the call whose worker died three minutes ago."""
    event = {
        "id": f"evt_{number}", "type": f"calliope.call.{name}.v1", "source": "/calliope/call-worker",
        "subject": f"call/{CALL}", "time": (datetime.now(UTC) - timedelta(seconds=200 - number)).isoformat(),
        "organization": "org_1", "sequence": number, "data": data,
    }  # fmt: skip
    await jetstream.publish(f"calliope.evt.org_1.call.{CALL}.{name}", json.dumps(event).encode())


@pytest.fixture
async def bad_minute(bus_settings: NatsSettings) -> AsyncIterator[str]:
    """A bus after a bad minute: dead letters, a refused event, and a call whose worker died. Its address."""
    client: Client = await nats.connect(bus_settings.url)
    jetstream = client.jetstream()
    call = "calliope.evt.org_1.call.call_01jd5w8x0v3p"
    await dead(jetstream, "webhooks-fanout", "permanent", f"{call}.started", "the assistant's webhooks cannot be read")
    await dead(jetstream, "webhooks-fanout", "exhausted", f"{call}.ended", "the call's start is not known yet")
    await dead(
        jetstream, "assistants-outbox", "refused", "calliope.evt.org_1.assistant.asst_01jd5w8x0v3s.updated",
        "EVENTS takes no message of this size",
    )  # fmt: skip
    await jetstream.publish(f"calliope.open_call.{CALL}", b"")
    more = {"carrier": "twilio", "carrier_call_id": "CA1f", "assistant_id": "asst_01jd5w8x0v3s"}
    await fact(jetstream, 1, "started", worker_id="worker_01jd5w8x0v3t", assistant_revision=3, **more)
    await fact(jetstream, 2, "answered")
    await fact(jetstream, 3, "turn_committed")
    await fact(jetstream, 4, "turn_started")
    yield bus_settings.url
    await client.close()


@pytest.mark.parametrize("text", COMMANDS, ids=[each.splitlines()[0].removeprefix("$ ") for each in COMMANDS])
async def test_a_command_prints_what_the_page_shows(bad_minute: str, text: str) -> None:
    command, *shown = text.splitlines()
    program, *words = shlex.split(command.removeprefix("$ "))
    assert program == "calliope-admin"
    said = await admin_here(*words, "--nats", bad_minute)
    printed = _without_moments(said.out + said.err)
    if "…" in shown:  # a part of it
        missing = [line for line in shown if line not in {"", "…"} and _without_moments(line) not in printed]
        assert missing == []
    else:
        assert printed.splitlines() == _without_moments("\n".join(shown)).splitlines()


def _without_moments(text: str) -> str:
    for pattern, word in _MOMENTS:
        text = pattern.sub(word, text)
    return text
