"""Looks at calls without a worker: whose owner died and that nobody took, and whose owner does not answer."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from calliope.contracts.base import Event
from calliope.errors import CalliopeError
from calliope.messaging.broker import Bus
from calliope.messaging.call_inspection import held_calls, last_fact, lease_of, open_calls
from calliope_admin.doctor.findings import About, Finding, wrong
from calliope_admin.moments import age

MOST: Final = 200
"""So many calls are looked at one by one."""
NAMED: Final = 3
QUIET_S: Final = 10.0
"""A call changes hands within seconds; one without a worker for longer is stuck."""
_OVER: Final = frozenset({"ended", "analyzed", "refused"})


async def calls(bus: Bus, workers: Collection[str]) -> list[Finding]:
    """`workers`: the ids of those that answer."""
    try:
        held = await held_calls(bus)
        alone = sorted(await open_calls(bus) - held)
        last = [await last_fact(bus, call_id) for call_id in alone[:MOST]]
        owners = [lease.worker_id for each in sorted(held)[:MOST] if (lease := await lease_of(bus, each)) is not None]
    except CalliopeError as exc:
        return [wrong(About.CALLS, f"{exc}.", "see to the bus first")]
    found = lost_calls([fact for fact in last if fact is not None], datetime.now(UTC))
    return [*found, *silent_workers(owners, workers)]


def lost_calls(last_facts: Sequence[Event], now: datetime) -> list[Finding]:
    """Calls that nobody holds, by their last fact; pure. Those that ended or are on their way are left out."""
    stuck = [fact for fact in last_facts if fact.name not in _OVER and (now - fact.time).total_seconds() > QUIET_S]
    if not stuck:
        return []
    named = ", ".join(
        f"{fact.entity_id} (last fact {age((now - fact.time).total_seconds())} ago)" for fact in stuck[:NAMED]
    )
    more = f" and {len(stuck) - NAMED} more" if len(stuck) > NAMED else ""
    have = "1 call has lost its worker" if len(stuck) == 1 else f"{len(stuck)} calls have lost their worker"
    advice = (
        "`calliope-admin calls end ID` closes one at once; else the carrier asks who goes on, or it ends by itself "
        "after CALLIOPE_CALL__LOST_AFTER_S, both only while a call-worker runs"
    )
    return [wrong(About.CALLS, f"{have}, and nobody took it over: {named}{more}.", advice)]


def silent_workers(owners: Sequence[str], workers: Collection[str]) -> list[Finding]:
    """Workers that hold calls and do not answer; pure."""
    silent = sorted(set(owners) - set(workers))
    return [
        wrong(
            About.CALLS,
            f"{worker} holds {owners.count(worker)} calls and does not answer.",
            "look again in 10 s: it may have just ended; else see its log and its /livez",
        )
        for worker in silent
    ]
