"""Dead letters in words: what each reason means and asks for, and their messages without secrets. Pure."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from calliope.contracts.document.types import MASK
from calliope.contracts.subjects import pattern_of
from calliope.messaging.dead_letters import DeadLetter, DeadLetterContent, Replay, ReplayOutcome
from calliope.messaging.streams import durable_named
from calliope_admin.output import visible

HIDDEN: Final = (
    "The payload is not shown: it may hold telephone numbers and words of callers. --payload shows it, secrets masked."
)
_SECRETS: Final = ("api_key", "auth_token", "password", "private_key", "secret", "authorization", "credential")
_TOLD: Final = 20
"""So many letters are told one by one; of the others, how many there are."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What a reason means, what to do in two words, and in a sentence."""

    means: str
    short: str
    sentence: str


_ADVICE: Final = {
    "exhausted": Advice(
        "it failed on every delivery of its schedule, for a passing reason",
        "replay",
        "See that the cause is gone (`calliope-admin doctor`), then replay.",
    ),
    "permanent": Advice(
        "a handler said that it can never work", "mend, replay", "Mend what its detail says, then replay."
    ),
    "malformed": Advice(
        "it is none that this version can read",
        "update, replay",
        "A newer version wrote it: update its reader, then replay. One that no version wrote can stay where it is.",
    ),
    "refused": Advice(
        "the bus refused an event of the outbox; later events of its subject wait behind it",
        "mend, replay",
        "Mend what its detail says, such as the largest message of the stream (`python -m "
        "calliope.messaging.provision`), then replay: it is tried at once.",
    ),
    "dropped": Advice(
        "every process that took it ended over it",
        "find out why",
        "Find out why in the log of its reader before replaying: it may end those processes again.",
    ),
}
_OTHER: Final = Advice("another version gave it up", "see its detail", "See its detail, then replay.")
_SKIPPED: Final = {
    ReplayOutcome.ALREADY: "was replayed before",
    ReplayOutcome.GONE: "is no longer kept: its stream has forgotten the message",
    ReplayOutcome.UNREAD: "belongs to a durable consumer that this version does not have",
}


def advice_of(reason: str) -> Advice:
    """What a reason of a dead letter asks for."""
    return _ADVICE.get(reason, _OTHER)


def pattern(letter: DeadLetter) -> str:
    """The subject of its message without ids; of a dropped one only the stream is known."""
    return pattern_of(letter.subject) if letter.subject else f"(number {letter.stream_sequence} of {letter.stream})"


def legend(letters: Iterable[DeadLetter]) -> list[str]:
    """A line for each reason among them."""
    reasons = sorted({each.reason for each in letters})
    return [f"{reason}: {advice_of(reason).means}. {advice_of(reason).sentence}" for reason in reasons]


def as_data(letter: DeadLetter) -> dict[str, Any]:
    """A letter in JSON."""
    return {**asdict(letter), "to_do": advice_of(letter.reason).sentence}


def facts(content: DeadLetterContent) -> list[tuple[str, str]]:
    """Everything about a letter but its payload, as lines of a name and a text."""
    letter = content.letter
    durable = durable_named(letter.durable)
    reader = f", read by {durable.service}" if durable else ", which this version does not have"
    times = "1 delivery" if letter.deliveries == 1 else f"{letter.deliveries} deliveries"
    lines = [
        ("dead letter", str(letter.id)),
        ("durable", f"{letter.durable}{reader}"),
        ("reason", f"{letter.reason}: {advice_of(letter.reason).means}"),
        ("error", ": ".join(filter(None, (letter.error, letter.detail))) or "none was told"),
        ("died", f"{letter.died_at:%Y-%m-%d %H:%M:%S} UTC, after {times}"),
        ("subject", letter.subject or "(not known)"),
    ]
    if letter.stream_sequence:
        lines.append(("place", f"number {letter.stream_sequence} of {letter.stream}"))
    if message_id := content.headers.get("Nats-Msg-Id"):
        lines.append(("message id", message_id))
    if trace := content.headers.get("traceparent"):
        lines.append(("trace", trace))
    if letter.replay_of:
        lines.append(("replay of", f"dead letter {letter.replay_of}"))
    if letter.replayed_at:
        lines.append(("replayed", f"{letter.replayed_at:%Y-%m-%d %H:%M:%S} UTC"))
    lines.append(("size", f"{len(content.body):,} bytes"))
    lines.append(("to do", "Nothing: it was replayed." if letter.replayed_at else advice_of(letter.reason).sentence))
    return [(name, visible(text)) for name, text in lines]


def payload(body: bytes) -> dict[str, Any]:
    """The message for JSON: `payload` with every secret masked, or `payload_base64` where it is no JSON."""
    try:
        return {"payload": _masked(orjson.loads(body))}
    except orjson.JSONDecodeError:
        return {"payload_base64": base64.b64encode(body).decode()}


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, name) for inner in value]
    is_secret = isinstance(value, str) and any(each in name.lower() for each in _SECRETS)
    return MASK if is_secret and not value.startswith(MASK) else value


def replays_told(replays: Iterable[Replay]) -> list[str]:
    """What was given to whom, and each letter that was not, with why."""
    every = list(replays)
    given: dict[str, int] = {}
    for each in every:
        if each.outcome is ReplayOutcome.REPLAYED:
            given[each.letter.durable] = given.get(each.letter.durable, 0) + 1
    lines = [f"Replayed {_messages(count)} to {name}." for name, count in sorted(given.items())]
    skipped = [each for each in every if each.outcome is not ReplayOutcome.REPLAYED]
    lines += [f"Skipped {each.letter.id}: it {_SKIPPED[each.outcome]}." for each in skipped[:_TOLD]]
    if len(skipped) > _TOLD:
        lines.append(f"Skipped {len(skipped) - _TOLD} more; --json tells each.")
    return lines


def counted(counts: Mapping[tuple[str, str], int]) -> str:
    """`webhooks-fanout, exhausted: 3`, and so on."""
    return "; ".join(f"{durable}, {reason}: {count}" for (durable, reason), count in sorted(counts.items()))


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
