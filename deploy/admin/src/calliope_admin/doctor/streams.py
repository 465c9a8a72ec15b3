"""Streams and durable consumers: are they there, as declared, copied as wanted, and does somebody read them. Pure."""

from collections.abc import Mapping
from typing import Final

from calliope.messaging.inspection import Copies, Reading, Room
from calliope.messaging.streams import Durable
from calliope_admin.moments import age

PROVISION: Final = "run `python -m calliope.messaging.provision` with the settings of this installation"
FULL_SHARE: Final = 0.8
"""Of a limit; beyond it somebody should make room."""
BEHIND: Final = 1_000
"""Waiting messages from which a reader counts as too slow."""


def copies_trouble(name: str, copies: Copies, wanted: int | None) -> tuple[str, str] | None:
    """What is wrong with how a stream is kept, and what to do."""
    if wanted is not None and copies.replicas != wanted:
        return f"{name} has {copies.replicas} copies, {wanted} are wanted", PROVISION
    if copies.clustered and copies.leader is None:
        return f"{name} has no leader: it takes no messages", "see to it that most servers of the cluster run"
    if copies.lagging:
        return f"{name} is not up to date on {', '.join(copies.lagging)}", "start those servers, and see their logs"
    return None


def reading_trouble(durable: Durable, before: Reading, now: Reading) -> tuple[str, str] | None:
    """What is wrong with how a durable is read, from two looks a moment apart, and what to do."""
    stands = now.acknowledged <= before.acknowledged
    if now.paused_until is not None:
        words = f"{durable.name} is paused until {now.paused_until}, and {now.waiting} messages wait"
        return words, f"resume it: `nats consumer resume {durable.stream} {durable.name}`"
    nobody = not before.pulls and not now.pulls and not now.moved(before)
    if nobody and now.unanswered:
        words = (
            f"{durable.name}: {now.unanswered} messages were given and are not acknowledged, {now.waiting} wait behind"
        )
        return words, f"see the log of the {durable.service} service for what it waits for; start it, if it is gone"
    if nobody and not now.waiting:
        start = f"start the {durable.service} service, or see its log"
        return f"{durable.name}: nobody reads it, so what comes next would wait", start
    if now.waiting and not before.pulls and not now.pulls and stands:
        start = f"start the {durable.service} service, or see its log"
        return f"{durable.name}: {now.waiting} messages wait and nobody reads them", start
    if now.unanswered >= durable.max_ack_pending and stands:
        words = f"{durable.name}: all {durable.max_ack_pending} places are taken by messages that are not finished"
        return words, f"see the log of the {durable.service} service for what it waits for"
    if now.again and now.again >= now.unanswered and stands:
        words = f"{durable.name}: {now.again} messages are tried again and again"
        return words, f"see the log of the {durable.service} service; after {durable.max_deliver} tries they are dead"
    if now.waiting >= BEHIND and now.waiting >= before.waiting:
        words = f"{durable.name}: {now.waiting} messages wait, and they do not become fewer"
        return words, f"start more processes of the {durable.service} service"
    return None


def held_trouble(durable: Durable, before: Reading, now: Reading, dependency: str) -> tuple[str, str] | None:
    """What is wrong with a durable while something that its service needs is away."""
    if not now.unanswered or now.acknowledged > before.acknowledged:
        return None
    words = (
        f"{durable.name} waits for {dependency}, which is away: {now.unanswered} messages are held, {now.waiting} wait "
        "behind them, none is lost or counted as failed"
    )
    return words, f"bring {dependency} back; what waits is then handled by itself, and nothing has to be replayed"


def room_trouble(room: Room) -> tuple[str, str] | None:
    """What is wrong with how much of a limit is used."""
    if room.used < FULL_SHARE * room.limit:
        return None
    used = (
        f"{_size(room.used)} of {_size(room.limit)}"
        if room.unit == "bytes"
        else f"{room.used:,} of {room.limit:,} {room.unit}"
    )
    words = f"{room.name[:1].upper()}{room.name[1:]} is {room.used / room.limit:.0%} full: {used}"
    return (
        words,
        "make room before it is full: a larger disk or limit; then nothing is taken, and what is written waits",
    )


def dead_trouble(letters: Mapping[tuple[str, str], int], oldest_s: float | None = None) -> tuple[str, str] | None:
    """What the services gave up on, by durable and reason, and how long ago the first of it died."""
    if not letters:
        return None
    total = sum(letters.values())
    by_reader = ", ".join(f"{durable}, {reason}: {count}" for (durable, reason), count in sorted(letters.items()))
    oldest = "" if oldest_s is None else f"; the oldest {age(oldest_s)} ago"
    words = f"{total} messages were given up ({by_reader}){oldest}"
    return (
        words,
        "`calliope-admin dead-letters list` shows each with what to do, `dead-letters replay` gives it to its reader "
        "again. Purge nothing: what is there can still be replayed, and goes by itself after 30 days",
    )


def _size(count: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
