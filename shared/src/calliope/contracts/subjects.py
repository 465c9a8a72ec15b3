"""The words of the bus: the only place where subjects are built or taken apart.

Commands  `calliope.cmd.<noun>.<verb>.v1`                                core request/reply, one reader
Events    `calliope.evt.<organization>.<entity>.<entity_id>.<event>`     JetStream stream EVENTS, any readers
Wake-ups  `calliope.sched.<service>.<key>` -> `calliope.due.<service>.<key>`  scheduled messages, stream SCHED
Open calls `calliope.open_call.<call_id>`                                one message a call until it has ended
Dead letters `calliope.dead.<durable>.<reason>`, replayed `calliope.replayed.<durable>.<reason>.<letter>`, stream DEAD
Replays   `calliope.replay.<stream>.<durable>.<place>`                  a dead letter's message, for one durable only
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ALL_EVENTS: Final = "calliope.evt.>"
DEAD_LETTERS: Final = "calliope.dead.>"
REPLAYED_LETTERS: Final = "calliope.replayed.>"
SCHEDULES: Final = "calliope.sched.>"
ALL_DUE: Final = "calliope.due.>"
OPEN_CALLS: Final = "calliope.open_call.*"

_TOKEN: Final = re.compile(r"[A-Za-z0-9_+-]{1,128}")


class Entity(StrEnum):
    """What an event is about; its owner alone publishes about it."""

    ORGANIZATION = "organization"
    API_KEY = "api_key"
    ASSISTANT = "assistant"
    PHONE_NUMBER = "phone_number"
    CALL = "call"
    DELIVERY = "delivery"


class Command(StrEnum):
    """Every command subject. The noun's owner alone reads it."""

    ASSISTANTS_CREATE = "calliope.cmd.assistants.create.v1"
    ASSISTANTS_GET = "calliope.cmd.assistants.get.v1"
    ASSISTANTS_LIST = "calliope.cmd.assistants.list.v1"
    ASSISTANTS_UPDATE = "calliope.cmd.assistants.update.v1"
    ASSISTANTS_REPLACE = "calliope.cmd.assistants.replace.v1"
    ASSISTANTS_CREATE_V2 = "calliope.cmd.assistants.create.v2"
    ASSISTANTS_UPDATE_V2 = "calliope.cmd.assistants.update.v2"
    ASSISTANTS_REPLACE_V2 = "calliope.cmd.assistants.replace.v2"
    ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2 = "calliope.cmd.assistants.rotate_webhook_secret.v2"  # noqa: S105 - a subject
    ASSISTANTS_DELETE = "calliope.cmd.assistants.delete.v1"
    ASSISTANTS_ROTATE_WEBHOOK_SECRET = "calliope.cmd.assistants.rotate_webhook_secret.v1"  # noqa: S105 - a subject
    ASSISTANTS_ENDPOINTS = "calliope.cmd.assistants.endpoints.v1"
    ASSISTANTS_PIN = "calliope.cmd.assistants.pin.v1"
    PHONE_NUMBERS_ASSIGN = "calliope.cmd.phone_numbers.assign.v1"
    PHONE_NUMBERS_LIST = "calliope.cmd.phone_numbers.list.v1"
    PHONE_NUMBERS_RELEASE = "calliope.cmd.phone_numbers.release.v1"
    PHONE_NUMBERS_RESOLVE = "calliope.cmd.phone_numbers.resolve.v1"
    PHONE_NUMBERS_ROUTE = "calliope.cmd.phone_numbers.route.v1"
    STORE_CHECK = "calliope.cmd.store.check.v1"
    IDENTITY_AUTHENTICATE = "calliope.cmd.identity.authenticate.v1"
    ORGANIZATIONS_CREATE = "calliope.cmd.organizations.create.v1"
    ORGANIZATIONS_GET = "calliope.cmd.organizations.get.v1"
    ORGANIZATIONS_LIST = "calliope.cmd.organizations.list.v1"
    API_KEYS_CREATE = "calliope.cmd.api_keys.create.v1"
    API_KEYS_LIST = "calliope.cmd.api_keys.list.v1"
    API_KEYS_REVOKE = "calliope.cmd.api_keys.revoke.v1"
    CALL_RECORDS_GET = "calliope.cmd.call_records.get.v1"
    CALL_RECORDS_LIST = "calliope.cmd.call_records.list.v1"
    CALL_RECORDS_LIST_EVENTS = "calliope.cmd.call_records.list_events.v1"
    CALL_RECORDS_LIST_TRANSCRIPT = "calliope.cmd.call_records.list_transcript.v1"
    CALLS_ACCEPT = "calliope.cmd.calls.accept.v1"
    CALLS_DECLINE = "calliope.cmd.calls.decline.v1"
    CALLS_DESCRIBE = "calliope.cmd.calls.describe.v1"
    CALLS_END = "calliope.cmd.calls.end.v1"
    CALLS_RELEASE = "calliope.cmd.calls.release.v1"
    CALLS_CLOSE = "calliope.cmd.calls.close.v1"
    WORKERS_DESCRIBE = "calliope.cmd.workers.describe.v1"
    DELIVERIES_LIST = "calliope.cmd.deliveries.list.v1"
    DELIVERIES_REPLAY = "calliope.cmd.deliveries.replay.v1"
    VENDORS_CHECK = "calliope.cmd.vendors.check.v1"


@dataclass(frozen=True, slots=True)
class EventSubject:
    """An event subject taken apart."""

    organization: str
    entity: str
    entity_id: str
    event: str

    def __str__(self) -> str:
        return event(self.organization, self.entity, self.entity_id, self.event)


def event(organization: str, entity: str, entity_id: str, name: str) -> str:
    """The subject of one event.

    Raises: ValueError, when a part would break the subject into other tokens.
    """
    parts = (organization, entity, entity_id, name)
    for part in parts:
        if not _TOKEN.fullmatch(part):
            raise ValueError(f"{part!r} cannot be a token of a subject: use letters, digits, '_', '-', '+'")
    return ".".join(("calliope", "evt", *parts))


def parse_event(subject: str) -> EventSubject:
    """The parts of an event subject. Raises: ValueError, when it is none."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[:2] != ["calliope", "evt"]:
        raise ValueError(f"{subject!r} is not an event subject")
    return EventSubject(*parts[2:])


def events_of(
    entity: Entity | None = None,
    *,
    organization: str | None = None,
    entity_id: str | None = None,
    name: str | None = None,
) -> str:
    """A filter: all events, of an entity, of one organization, of one call, or one kind of event.

    Raises: ValueError, when a part is no token: a stranger's `*` would read the events of everybody.
    """
    tenant, one = ("*" if part is None else _token(part) for part in (organization, entity_id))
    if entity is None:
        return ALL_EVENTS if organization is None else f"calliope.evt.{tenant}.>"
    return f"calliope.evt.{tenant}.{entity.value}.{one}.{name or '>'}"


def dead_letter(durable: str, reason: str) -> str:
    """Where a message goes that a durable consumer gives up on."""
    return f"calliope.dead.{durable}.{reason}"


def dead_letters_of(durable: str | None) -> str:
    """A filter: the dead letters of one durable, or of all."""
    return DEAD_LETTERS if durable is None else f"calliope.dead.{_token(durable)}.*"


def replayed_letters_of(durable: str | None) -> str:
    """A filter: the letters that were replayed, of one durable or of all."""
    return REPLAYED_LETTERS if durable is None else f"calliope.replayed.{_token(durable)}.>"


def replayed_letter(durable: str, reason: str, letter: int | str) -> str:
    """Where a dead letter is kept once it was replayed; `letter` is its number, or `*`."""
    return f"calliope.replayed.{durable}.{reason}.{letter}"


def parse_letter(subject: str) -> tuple[str, str] | None:
    """Durable and reason of a dead letter, replayed or not; None when the subject is none of one."""
    parts = subject.split(".")
    is_letter = parts[:2] in (["calliope", "dead"], ["calliope", "replayed"]) and len(parts) >= 4
    return (parts[2], parts[3]) if is_letter else None


def replay(stream: str, durable: str, place: int | str) -> str:
    """Where a dead letter is replayed to: the stream that its durable reads, for this durable alone."""
    return f"calliope.replay.{stream.lower()}.{durable}.{place}"


def replays(stream: str, durable: str | None = None) -> str:
    """A filter: all replays in a stream, or those for one durable."""
    return f"calliope.replay.{stream.lower()}.{'>' if durable is None else f'{durable}.*'}"


def open_call(call_id: str) -> str:
    """Where it is noted that a call began. Raises: ValueError, when `call_id` is no token."""
    return f"calliope.open_call.{_token(call_id)}"


def schedule(service: str, key: str) -> str:
    """Where a wake-up waits: one per key, a newer one replaces it. Raises: ValueError, when `key` is no token."""
    return f"calliope.sched.{service}.{_token(key)}"


def due(service: str, key: str = "*") -> str:
    """Where a wake-up arrives when its time has come; without a key the filter for all of a service."""
    return f"calliope.due.{service}.{key if key == '*' else _token(key)}"


def _token(part: str) -> str:
    if not _TOKEN.fullmatch(part):
        raise ValueError(f"{part!r} cannot be a token of a subject")
    return part


def pattern_of(subject: str) -> str:
    """The subject with its ids blanked: what a metric label or a span name may carry."""
    parts = subject.split(".")
    if parts[:2] == ["calliope", "evt"] and len(parts) == 6:
        return f"calliope.evt.*.{parts[3]}.*.{parts[5]}"
    if parts[:2] in (["calliope", "sched"], ["calliope", "due"]) and len(parts) == 4:
        return f"calliope.{parts[1]}.{parts[2]}.*"
    if parts[:2] == ["calliope", "replay"] and len(parts) == 5:
        return ".".join((*parts[:4], "*"))
    return "_INBOX" if parts[0] == "_INBOX" else subject
