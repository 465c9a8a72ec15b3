"""Compares who is connected to the bus, as the monitoring of NATS tells, with who answers: a worker can hang."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp

from calliope_admin.doctor.findings import About, Finding, wrong

NAME: Final = "calliope-call-worker"
"""As which call-workers connect; each has one connection."""
STARTED: Final = timedelta(seconds=30)
"""So long a worker may be connected before it answers."""
MOST: Final = 4_096
ANSWER_S: Final = 3.0


async def silent_workers(monitors: Sequence[str], answering: int) -> list[Finding]:
    """Call-workers that have been connected for a while and are not among the `answering`.

    Nothing, when no monitoring answers; of a cluster all servers have to be asked.
    """
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_hosts(each), name="doctor.connections") for each in monitors]
    hosts = [host for task in asked for host in task.result()]
    silent = len(hosts) - answering
    if silent <= 0:
        return []
    have = "1 call-worker is" if len(hosts) == 1 else f"{len(hosts)} call-workers are"
    answer = {0: "none answers", 1: "1 answers"}.get(answering, f"{answering} answer")
    hang = "1 hangs" if silent == 1 else f"{silent} hang"
    words = f"{have} connected to the bus and {answer}: {hang}, or never became ready."
    advice = f"see the logs and /readyz of those at {', '.join(sorted(set(hosts)))}, and start the silent ones again"
    return [wrong(About.CALLS, words, advice)]


async def _hosts(monitor: str) -> list[str]:
    """From where the call-workers of one server have been connected for a while."""
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(f"{monitor}/connz", params={"limit": str(MOST)}, allow_redirects=False) as answer,
        ):
            said: dict[str, Any] = await answer.json(content_type=None)
            now = datetime.fromisoformat(said["now"])
            named = [each for each in said["connections"] or () if each.get("name") == NAME]
            return [str(each["ip"]) for each in named if now - datetime.fromisoformat(each["start"]) >= STARTED]
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # that the monitoring tells nothing is said where its storage is looked at
