"""`calliope-admin doctor`: everything that may be wrong with an installation, each with what to do."""

import asyncio
import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from calliope.contracts.workers import WorkerDescription
from calliope.messaging.broker import Bus
from calliope_admin.bus import AdminBus, open_bus
from calliope_admin.doctor import reach, services
from calliope_admin.doctor.bus import BusLooks, durable_findings
from calliope_admin.doctor.calls import calls
from calliope_admin.doctor.connections import silent_workers
from calliope_admin.doctor.findings import About, Finding, report, unknown, wrong
from calliope_admin.doctor.reach import monitors
from calliope_admin.doctor.settings import settings_findings
from calliope_admin.errors import AdminError
from calliope_admin.output import Output
from calliope_admin.parsing import Nouns

Look = tuple[About, Coroutine[Any, Any, list[Finding]]]
LOOK_S: Final = 12.0
"""Above every deadline inside a look: whatever hangs, the report comes."""


def add(nouns: Nouns) -> None:
    """Add the command."""
    doctor = nouns.add_command("doctor", examined, "say what is wrong with an installation, and what to do about it")
    doctor.add_argument(
        "--monitor",
        metavar="URL",
        type=_monitor,
        help="the monitoring of NATS, which tells how full its disk is and who is connected, such as "
        "http://nats:8222; else port 8222 of the host of the bus, if something answers there",
    )


async def examined(arguments: Namespace) -> Output:
    """Every check, whatever is away; status 1 when something is wrong."""
    findings = settings_findings(os.environ)
    hooks, audio = _named("CALLIOPE_PUBLIC_URL"), _named("CALLIOPE_MEDIA__PUBLIC_URL")
    try:
        async with open_bus(arguments) as bus:
            seen, workers = await services.workers(bus.bus)
            findings += seen
            hooks = hooks or {each.public_url for each in workers}
            audio = audio or {each.media_url for each in workers}
            monitored = _monitored(arguments, bus, answering=len(workers))
            looks = [*_looks(bus, workers), *_reached(hooks, audio), *monitored]
            findings += await _all_of(*looks)
    except AdminError as exc:
        findings.append(wrong(About.BUS, str(exc), "start it, or give its address with --nats"))
        findings.append(unknown(About.SERVICES, "Streams, services and clocks cannot be looked at: the bus is away."))
        findings += await _all_of(*_reached(hooks, audio))
    return report(findings)


def _named(variable: str) -> set[str]:
    """The address that the environment names; the workers are asked for theirs where it names none."""
    address = os.environ.get(variable)
    return {address} if address else set()


def _looks(bus: AdminBus, workers: Sequence[WorkerDescription]) -> list[Look]:
    looks = BusLooks(bus.bus, bus.place.nats.replicas)
    return [
        (About.BUS, looks.server()),
        (About.CLOCKS, looks.clock()),
        (About.STREAMS, looks.streams()),
        (About.STREAMS, looks.room()),
        (About.DEAD_LETTERS, looks.dead_letters()),
        (About.OUTBOX, looks.outbox()),
        (About.SERVICES, _readers(bus.bus, looks)),
        (About.CALLS, calls(bus.bus, {each.worker_id for each in workers})),
    ]


async def _readers(bus: Bus, looks: BusLooks) -> list[Finding]:
    """Services, and the durables that they read: what a service waits for explains what waits for it."""
    async with asyncio.TaskGroup() as tasks:
        assistants = tasks.create_task(services.assistants(bus), name="doctor.assistants")
        webhooks = tasks.create_task(services.webhooks(bus), name="doctor.webhooks")
        durables = tasks.create_task(looks.durables(), name="doctor.durables")
    away = services.away(assistants.result(), webhooks.result())
    return [
        *durable_findings(durables.result(), away),
        *services.judged("assistants", assistants.result()),
        *services.judged("webhooks", webhooks.result()),
    ]


def _monitored(arguments: Namespace, bus: AdminBus, *, answering: int) -> list[Look]:
    """What only the monitoring of NATS tells: the storage of each server, and who is connected."""
    named = arguments.monitor
    urls = [named] if named else monitors(bus.place.nats.url)
    storage: list[Look] = [(About.STREAMS, reach.storage(url, asked_for=bool(named))) for url in urls]
    return [*storage, (About.CALLS, silent_workers(urls, answering))]


def _reached(hooks: set[str], audio: set[str]) -> list[Look]:
    return [
        *((About.ADDRESSES, reach.public_url(each)) for each in sorted(hooks)),
        *((About.ADDRESSES, reach.media_url(each)) for each in sorted(audio)),
    ]


async def _all_of(*looks: Look) -> list[Finding]:
    """All at once, each within its deadline."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_within(about, look), name=f"doctor.{about}") for about, look in looks]
    return [finding for task in running for finding in task.result()]


async def _within(about: About, look: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(LOOK_S):
            return await look
    except TimeoutError:
        return [wrong(about, f"This could not be looked at within {LOOK_S:g} s.", "see to the bus first")]


def _monitor(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname:
        raise ArgumentTypeError(f"{text!r} is no address of NATS's monitoring, such as http://nats:8222")
    return text.rstrip("/")
