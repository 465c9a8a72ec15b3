"""A call in words: its state, who has it, its facts by name, and what of it still waits. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from calliope.contracts.base import Event
from calliope.contracts.live_calls import HeldCall
from calliope.messaging.call_inspection import Journal, Lease
from calliope_admin.moments import age
from calliope_admin.output import visible

_SHOWN: Final = 20
"""So many of the latest facts are told one by one."""
_OWNERS: Final = ("started", "resumed")


def state_of(journal: Journal) -> str:
    """`ringing`, `talking`, `transferring`, `given up by its worker`, `ended: idle`, `refused`."""
    if (end := journal.end) is not None:
        return f"ended: {end.data.get('reason')}"
    last = journal.facts[-1].name
    if journal.facts[0].name == "refused":
        return f"refused: {journal.facts[0].data.get('code')}"
    if last == "abandoned":
        return "given up by its worker before anything was said"
    if journal.last_of("transfer_started") is not None:
        return "transferring"
    return "talking" if journal.last_of("answered") is not None else "ringing"


def owner_of(journal: Journal) -> str | None:
    """The worker that wrote itself into the journal last."""
    fact = journal.last_of(*_OWNERS)
    return None if fact is None else str(fact.data.get("worker_id", ""))


def described(
    journal: Journal, lease: Lease | None, held: HeldCall | None, waits: Sequence[str], now: datetime, *, whole: bool
) -> str:
    """Everything an operator needs to know of a call."""
    first, last = journal.facts[0], journal.facts[-1]
    lines = [
        ("call", first.entity_id),
        ("organization", first.organization),
        ("state", f"{state_of(journal)}; {_since(last, now)}"),
        ("owner", _owner(journal, lease, held, now)),
        ("carrier", f"{first.data.get('carrier', '?')} {first.data.get('carrier_call_id', '')}".strip()),
        ("assistant", f"{first.data.get('assistant_id', '?')}, revision {first.data.get('assistant_revision', '?')}"),
        ("facts", _counts(journal.facts)),
        *(("waits", each) for each in waits),
    ]
    text = [f"{name:<12}  {visible(value)}" for name, value in lines]
    shown = journal.facts if whole else journal.facts[-_SHOWN:]
    hidden = len(journal.facts) - len(shown)
    text += ["", *([f"… {hidden:,} facts before; --all tells each"] if hidden else [])]
    text += [
        f"{fact.sequence:>6}  {fact.time:%H:%M:%S}.{fact.time.microsecond // 1000:03d}  {fact.name}" for fact in shown
    ]
    return "\n".join(text)


def as_data(journal: Journal, lease: Lease | None, held: HeldCall | None, waits: Sequence[str]) -> Mapping[str, Any]:
    """The same for scripts; facts without what was said in them."""
    first = journal.facts[0]
    return {
        "call_id": first.entity_id,
        "organization": first.organization,
        "state": state_of(journal),
        "owner": owner_of(journal),
        "lease": None if lease is None else {"worker_id": lease.worker_id, "renewed_at": lease.renewed_at},
        "answered_by": None if held is None else held.worker_id,
        "waiting_facts": None if held is None else held.waiting_facts,
        "waits": list(waits),
        "facts": [{"sequence": fact.sequence, "name": fact.name, "time": fact.time} for fact in journal.facts],
    }


def _owner(journal: Journal, lease: Lease | None, held: HeldCall | None, now: datetime) -> str:
    if held is not None:
        more = f"; {held.waiting_facts} of its facts wait for the bus" if held.waiting_facts else ""
        return f"{held.worker_id}, which answers{', and ends it' if held.ending else ''}{more}"
    if lease is not None:
        ago = "" if lease.renewed_at is None else f", renewed {age((now - lease.renewed_at).total_seconds())} ago"
        return f"{lease.worker_id} holds the lease{ago}, and does not answer"
    if journal.end is not None or journal.facts[0].name == "refused":
        return "nobody any more"
    return f"nobody: the lease of {owner_of(journal)} has lapsed"


def _since(last: Event, now: datetime) -> str:
    return f"last fact {age((now - last.time).total_seconds())} ago"


def _counts(facts: Sequence[Event]) -> str:
    counts = Counter(fact.name for fact in facts)
    named = ", ".join(f"{name} {count}" if count > 1 else name for name, count in counts.items())
    return f"{len(facts):,}: {named}"
