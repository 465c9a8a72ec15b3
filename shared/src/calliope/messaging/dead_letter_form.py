"""How a dead letter is written in DEAD and read again: its subject, and the headers around a message. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from nats.js.api import Header, RawStreamMsg

from calliope.contracts import subjects
from calliope.messaging.streams import DURABLES, durable_named

REFUSED: Final = "refused"
"""Reason of what the bus would not take in the first place."""
DROPPED: Final = "dropped"
"""Reason of what the server gave up by itself: every process that took the message died over it."""
_ADVISORY: Final = "$JS.EVENT.ADVISORY.CONSUMER"
_ADVISORIES: Final = ("MAX_DELIVERIES", "MSG_TERMINATED")
_DETAIL_CHARS: Final = 300
_SUBJECT: Final = "Calliope-Subject"
_MESSAGE_ID: Final = "Calliope-Message-Id"
_REPLAY_OF: Final = "Calliope-Replay-Of"
_REPLAYED_AT: Final = "Calliope-Replayed-At"
_ABOUT_THE_LETTER: Final = frozenset(
    {
        "Calliope-Reason", "Calliope-Error", "Calliope-Detail", "Calliope-Stream", "Calliope-Stream-Sequence",
        "Calliope-Deliveries", "Calliope-Letter", "Calliope-Died-At", _REPLAYED_AT,
    }
)  # fmt: skip
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that a durable gave up on."""

    id: int
    """Its number in DEAD, which it keeps when it was replayed."""
    durable: str
    reason: str
    """`permanent`, `malformed`, `exhausted`, `refused` or `dropped`."""
    error: str | None
    """Kind of the last error."""
    detail: str | None
    """The last error in words, when it was meant for people; never part of the message."""
    subject: str
    """Where the message was published first."""
    stream: str
    stream_sequence: int
    deliveries: int
    died_at: datetime
    size_bytes: int
    replay_of: int | None = None
    """The letter whose replay failed, when this is one."""
    replayed_at: datetime | None = None


def letter_headers(
    message: Mapping[str, str], *, subject: str, stream: str, sequence: int, deliveries: int, durable: str,
    reason: str, error: BaseException | None, detail: str | None,
) -> dict[str, str]:  # fmt: skip
    """The headers of a new dead letter: those of the message, and where, why and how often it failed."""
    kept = {key: value for key, value in message.items() if not key.startswith("Nats-")}
    if Header.MSG_ID.value in message and _REPLAY_OF not in message:
        kept[_MESSAGE_ID] = message[Header.MSG_ID.value]
    return {
        **kept,
        Header.MSG_ID.value: f"{durable}.{stream}.{sequence}",
        "Calliope-Reason": reason,
        "Calliope-Error": type(error).__name__,
        **({"Calliope-Detail": _CONTROL.sub(" ", detail)[:_DETAIL_CHARS]} if detail else {}),
        _SUBJECT: kept.get(_SUBJECT, subject) if _REPLAY_OF in message else subject,
        "Calliope-Stream": stream,
        "Calliope-Stream-Sequence": str(sequence),
        "Calliope-Deliveries": str(deliveries),
    }


def replay_headers(letter: DeadLetter, published: Mapping[str, str]) -> dict[str, str]:
    """The headers of a replay: those that the message was published with, and which letter it is."""
    return {**published, **_renamed_id(published), _SUBJECT: letter.subject, _REPLAY_OF: str(letter.id)}


def filed_headers(letter: DeadLetter, published: Mapping[str, str], replayed_at: datetime) -> dict[str, str]:
    """The headers of a letter among those that were replayed."""
    return {
        **published,
        **_renamed_id(published),
        _SUBJECT: letter.subject,
        "Calliope-Reason": letter.reason,
        **({"Calliope-Error": letter.error} if letter.error else {}),
        **({"Calliope-Detail": letter.detail} if letter.detail else {}),
        "Calliope-Stream": letter.stream,
        "Calliope-Stream-Sequence": str(letter.stream_sequence),
        "Calliope-Deliveries": str(letter.deliveries),
        "Calliope-Letter": str(letter.id),
        "Calliope-Died-At": letter.died_at.isoformat(),
        _REPLAYED_AT: replayed_at.isoformat(),
        **({_REPLAY_OF: str(letter.replay_of)} if letter.replay_of else {}),
    }


def filters_of(durable: str | None, *, replayed: bool) -> tuple[str, ...]:
    """Under which subjects of DEAD the letters of a durable, or of all, lie."""
    if replayed:
        return (subjects.replayed_letters_of(durable),)
    ours = [each for each in DURABLES if durable in (None, each.name)]
    dropped = [f"{_ADVISORY}.{kind}.{each.stream}.{each.name}" for each in ours for kind in _ADVISORIES]
    return (subjects.dead_letters_of(durable), *dropped)


def waiting_key(subject: str) -> tuple[str, str] | None:
    """Durable and reason, when a subject of DEAD is one of letters that wait."""
    if subject.startswith(subjects.DEAD_LETTERS.removesuffix(">")):
        return subjects.parse_letter(subject)
    parts = subject.removeprefix(f"{_ADVISORY}.").split(".")
    ours = subject.startswith(_ADVISORY) and len(parts) == 3 and durable_named(parts[2]) is not None
    return (parts[2], DROPPED) if ours else None


def letter_of(message: RawStreamMsg) -> DeadLetter | None:
    """A message of DEAD as a letter; None when it is none that this version can read."""
    headers, subject = message.headers or {}, message.subject or ""
    died_at = message.time or datetime.fromtimestamp(0, UTC)
    if subject.startswith(_ADVISORY):
        return _dropped(message, died_at)
    place = subjects.parse_letter(subject)
    if place is None:
        return None
    try:
        return DeadLetter(
            id=int(headers.get("Calliope-Letter", message.seq or 0)),
            durable=place[0],
            reason=place[1],
            error=headers.get("Calliope-Error"),
            detail=headers.get("Calliope-Detail"),
            subject=headers.get(_SUBJECT, ""),
            stream=headers.get("Calliope-Stream", ""),
            stream_sequence=int(headers.get("Calliope-Stream-Sequence", 0)),
            deliveries=int(headers.get("Calliope-Deliveries", 0)),
            died_at=_moment(headers.get("Calliope-Died-At")) or died_at,
            size_bytes=len(message.data or b""),
            replay_of=int(headers[_REPLAY_OF]) if _REPLAY_OF in headers else None,
            replayed_at=_moment(headers.get(_REPLAYED_AT)),
        )
    except ValueError:  # written by hand
        return None


def _dropped(advisory: RawStreamMsg, died_at: datetime) -> DeadLetter | None:
    """What the server says that it gave up on; its message lies in its stream."""
    try:
        said: Any = orjson.loads(advisory.data or b"")
        return DeadLetter(
            id=int(advisory.seq or 0),
            durable=str(said["consumer"]),
            reason=DROPPED,
            error=None,
            detail=said.get("reason"),
            subject="",
            stream=str(said["stream"]),
            stream_sequence=int(said["stream_seq"]),
            deliveries=int(said["deliveries"]),
            died_at=died_at,
            size_bytes=0,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def completed(letter: DeadLetter, original: RawStreamMsg) -> DeadLetter:
    """A dropped letter, completed from the message that lies in its stream."""
    headers = original.headers or {}
    return DeadLetter(
        id=letter.id, durable=letter.durable, reason=letter.reason, error=letter.error, detail=letter.detail,
        subject=headers.get(_SUBJECT, original.subject or ""), stream=letter.stream,
        stream_sequence=letter.stream_sequence, deliveries=letter.deliveries, died_at=letter.died_at,
        size_bytes=len(original.data or b""), replay_of=int(headers[_REPLAY_OF]) if _REPLAY_OF in headers else None,
    )  # fmt: skip


def as_published(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the message, without what we or the server added."""
    ours = {*_ABOUT_THE_LETTER, _SUBJECT, _MESSAGE_ID, _REPLAY_OF}
    kept = {key: value for key, value in headers.items() if key not in ours and not key.startswith("Nats-")}
    first_id = headers.get(_MESSAGE_ID) or (None if _REPLAY_OF in headers else _own_id(headers))
    return kept if first_id is None else {**kept, Header.MSG_ID.value: first_id}


def _own_id(headers: Mapping[str, str]) -> str | None:
    """The id that a message was published with; a letter's own is none."""
    return None if "Calliope-Reason" in headers else headers.get(Header.MSG_ID.value)


def _renamed_id(headers: Mapping[str, str]) -> dict[str, str]:
    """The id under which the message was published, beside the one of its replay."""
    published = headers.get(Header.MSG_ID.value)
    return {} if published is None else {_MESSAGE_ID: published}


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
