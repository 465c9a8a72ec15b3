"""`calliope-admin doctor`: everything that may be wrong with an installation, each with what to do."""

import asyncio
import os
from argparse import Namespace
from collections.abc import Coroutine
from typing import Any, Final

from calliope_admin.bus import AdminBus, open_bus
from calliope_admin.doctor import reach, services
from calliope_admin.doctor.bus import BusLooks
from calliope_admin.doctor.findings import About, Finding, report, unknown, wrong
from calliope_admin.doctor.settings import settings_findings
from calliope_admin.errors import AdminError
from calliope_admin.output import Output
from calliope_admin.parsing import Nouns

LOOK_S: Final = 12.0
"""Above every deadline inside a look: whatever hangs, the report comes."""


def add(nouns: Nouns) -> None:
    """Add the command."""
    nouns.add_command("doctor", examined, "say what is wrong with an installation, and what to do about it")


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
            findings += await _all_of(*_looks(bus), *_reached(hooks, audio))
    except AdminError as exc:
        findings.append(wrong(About.BUS, str(exc), "start it, or give its address with --nats"))
        findings.append(unknown(About.SERVICES, "Streams, services and clocks cannot be looked at: the bus is away."))
        findings += await _all_of(*_reached(hooks, audio))
    return report(findings)


def _named(variable: str) -> set[str]:
    """The address that the environment names; the workers are asked for theirs where it names none."""
    address = os.environ.get(variable)
    return {address} if address else set()


def _looks(bus: AdminBus) -> list[tuple[About, Coroutine[Any, Any, list[Finding]]]]:
    wanted = bus.place.nats.replicas if os.environ.get("CALLIOPE_NATS__REPLICAS") else None
    looks = BusLooks(bus.bus, wanted)
    return [
        (About.BUS, looks.server()),
        (About.CLOCKS, looks.clock()),
        (About.STREAMS, looks.streams()),
        (About.CONSUMERS, looks.durables()),
        (About.DEAD_LETTERS, looks.dead_letters()),
        (About.SERVICES, services.assistants(bus.bus)),
        (About.SERVICES, services.webhooks(bus.bus)),
    ]


def _reached(hooks: set[str], audio: set[str]) -> list[tuple[About, Coroutine[Any, Any, list[Finding]]]]:
    return [
        *((About.ADDRESSES, reach.public_url(each)) for each in sorted(hooks)),
        *((About.ADDRESSES, reach.media_url(each)) for each in sorted(audio)),
    ]


async def _all_of(*looks: tuple[About, Coroutine[Any, Any, list[Finding]]]) -> list[Finding]:
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
