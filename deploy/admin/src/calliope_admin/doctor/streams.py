"""Streams and durable consumers: are they there, as declared, copied as wanted, and does somebody read them. Pure."""

from collections.abc import Mapping
from typing import Final

from calliope.messaging.inspection import Copies, Reading
from calliope.messaging.streams import Durable

PROVISION: Final = "run `python -m calliope.messaging.provision` with the settings of this installation"
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


def dead_trouble(letters: Mapping[tuple[str, str], int]) -> tuple[str, str] | None:
    """What the services gave up on, by durable and reason."""
    if not letters:
        return None
    total = sum(letters.values())
    by_reader = ", ".join(f"{durable}, {reason}: {count}" for (durable, reason), count in sorted(letters.items()))
    words = f"{total} messages were given up ({by_reader})"
    return (
        words,
        "`calliope-admin dead-letters list` shows each with what to do, `dead-letters replay` gives it to its reader "
        "again. Purge nothing: what is there can still be replayed, and goes by itself after 30 days",
    )
