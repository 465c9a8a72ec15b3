"""`calliope-admin numbers …` against a running service."""

import time
from pathlib import Path

from calliope.contracts.subjects import Command
from support.admin import admin, admin_here
from support.assistants import Asking
from support.nats import NatsServer

NUMBER = "+15551230001"


async def test_numbers_are_listed_for_people_and_for_scripts(
    asking: Asking, nats_server: NatsServer, tmp_path: Path
) -> None:
    made = await asking.create()
    spec = {"assistant_id": made.id, "carrier": "telnyx"}
    await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": NUMBER, "spec": spec})
    listing = ("numbers", "list", "--organization", asking.organization, "--nats", nats_server.url)
    people = await admin(*listing, cwd=tmp_path)
    assert (people.status, people.err) == (0, "")
    assert people.out.split()[:4] == ["NUMBER", "CARRIER", "ASSISTANT", "CHANGED"]
    assert people.out.splitlines()[1].split()[:3] == [NUMBER, "telnyx", made.id]
    scripts = await admin_here(*listing, "--json")
    assert [each["number"] for each in scripts.json["items"]] == [NUMBER]


async def test_an_absent_bus_is_one_line_soon(tmp_path: Path) -> None:
    began = time.monotonic()
    said = await admin("numbers", "list", "--nats", "nats://127.0.0.1:1", cwd=tmp_path)
    assert (said.status, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert "nats://127.0.0.1:1" in said.err
    assert time.monotonic() - began < 20


async def test_an_absent_service_is_one_line(own_nats_server: NatsServer) -> None:
    said = await admin_here("numbers", "list", "--organization", "org_1", "--nats", own_nats_server.url)
    assert (said.status, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert said.err.startswith("calliope-admin: The assistants service cannot answer")


async def test_whose_numbers_is_asked_where_nobody_said(nats_server: NatsServer, tmp_path: Path) -> None:
    said = await admin("numbers", "list", "--nats", nats_server.url, cwd=tmp_path)
    assert said.status == 2
    assert "--organization" in said.err


async def test_an_unknown_number_is_told_with_the_next_step(asking: Asking, nats_server: NatsServer) -> None:
    said = await admin_here("numbers", "check", "+15559990000", "--nats", nats_server.url)
    assert said.status == 1
    assert "No organization of this installation has +15559990000." in said.out
    assert "PUT /api/v1/phone-numbers/+15559990000" in said.out


async def test_all_reasons_of_a_number_are_told(asking: Asking, nats_server: NatsServer) -> None:
    made = await asking.create(is_active=False)
    await asking.ask(Command.PHONE_NUMBERS_ASSIGN, {"number": "+15551230002", "spec": {"assistant_id": made.id}})
    said = await admin_here("numbers", "check", "+1 (555) 123-0002", "--json", "--nats", nats_server.url)
    assert said.status == 1
    told = " ".join(reason["sentence"] for reason in said.json["reasons"])
    assert "switched off" in told
    assert "no Twilio account" in told
    assert "No call-worker answers" in told
    assert said.json["assistant_id"] == made.id


async def test_what_is_no_number_is_said_in_words(tmp_path: Path) -> None:
    said = await admin("numbers", "check", "hello", cwd=tmp_path)
    assert said.status == 2
    assert "hello is not a telephone number in international form, such as +15550002222" in said.err
