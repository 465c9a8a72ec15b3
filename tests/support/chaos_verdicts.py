"""Judges one call of a run that broke something: what the caller heard against what the record says. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Final

from support.chaos_callers import BOOKED, ENDS, GOODBYE, GREETING, LIST, MISSED, ChaosCaller
from support.house import Json, facts, names

_MS: Final = timedelta(milliseconds=1)
AUDIBLE_MS: Final = 700.0
"""The assistant counts as speaking until so long after a word; sentences have pauses."""
_ONCE: Final = frozenset(LIST) | frozenset(BOOKED.strip(".").split()[-7:])
_WELCOME: Final = frozenset(GREETING.lower().replace(",", "").replace("?", "").replace(".", "").split())
_LAST_WORDS: Final = frozenset(
    line.rstrip(".,?!").split()[-1] for line in (GREETING, LIST[-1], BOOKED, GOODBYE, MISSED)
)
"""Behind these the assistant has said what it had to say."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A worker went on with a call of another: in which phase of the call, and how long its caller heard nothing.

    `silence_ms` is None where the assistant owed no speech, or the call ended before any.
    """

    phase: str
    media_gap_ms: float
    silence_ms: float | None


@dataclass(frozen=True, slots=True)
class Steps:
    """What the silence of a takeover is made of, as its facts say; each step in ms."""

    taken_ms: float
    """From the end of the media until a worker has taken the call."""
    connected_ms: float
    """From then until its media flows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was wrong with a call (nothing, when `problems` is empty), and its figures."""

    problems: list[str]
    takeovers: list[Takeover]
    resumed: int
    doubled_words: int
    missing_words: int
    steps: list[Steps]
    event_ids: frozenset[str] = field(default_factory=frozenset)
    tool_keys: frozenset[str] = field(default_factory=frozenset)


def judge(caller: ChaosCaller, call: Json, record: Json) -> Verdict:
    """Judge a call that is over. `call` is what its carrier and its caller saw."""
    problems = []
    if call["failed"] is not None:
        problems.append(f"lost: {call['failed']}; recorded: {_recorded(record)}")
    if record["ended_reason"] not in ENDS[caller.kind]:
        problems.append(f"ended as {record['ended_reason']}: {names(record)[-14:]}")
    if [event["sequence"] for event in record["events"]] != list(range(1, len(record["events"]) + 1)):
        problems.append(f"sequence {[event['sequence'] for event in record['events']]}")
    if names(record).count("ended") != 1:
        problems.append(f"ended {names(record).count('ended')} times")
    resumed = facts(record, "resumed")
    owners = [facts(record, "started")[0]["worker_id"], *(one["worker_id"] for one in resumed)]
    if [one["previous_worker_id"] for one in resumed] != owners[:-1]:
        problems.append(f"owners {owners}, but resumed after {[one['previous_worker_id'] for one in resumed]}")
    keys = frozenset(one["idempotency_key"] for one in facts(record, "tool_started") if one["name"] == "book_table")
    if len(keys) != (caller.kind == "books"):
        problems.append(f"booked {len(keys)} times")
    doubled, missing = _words(call, caller)
    if doubled > len(resumed) or missing > len(resumed) * 2:
        problems.append(f"{doubled} words twice, {missing} missing, after {len(resumed)} takeovers: {_talk(call)}")
    ids = frozenset(event["id"] for event in record["events"])
    return Verdict(problems, _takeovers(call, record), len(resumed), doubled, missing, steps(record), ids, keys)


def steps(record: Json) -> list[Steps]:
    """Of every takeover that got its media."""
    found = []
    for taken, flows in pairwise(record["events"]):
        ended_at = taken["data"].get("media_ended_at")
        if (taken["type"], flows["type"]) == ("calliope.call.resumed.v1", "calliope.call.answered.v1") and ended_at:
            ended, took, flowed = (datetime.fromisoformat(at) for at in (ended_at, taken["time"], flows["time"]))
            found.append(Steps((took - ended) / _MS, (flowed - took) / _MS))
    return found


def _words(call: Json, caller: ChaosCaller) -> tuple[int, int]:
    """Words of answers that were heard more than once, and such as were not heard of answers that were waited for.

    What a caller had to say again was not answered before.
    """
    doubled = missing = 0
    exchanges = list(_exchanges(call))
    for (said, heard), (following, _) in pairwise([*exchanges, ("", [])]):
        for answer in _answers(heard):
            counts = Counter(word for word in answer if word in (_ONCE if said else _WELCOME))
            doubled += sum(counts.values()) - len(counts)
        if said and said == following:
            continue
        if said.startswith("question") or (said.startswith("no wait") and caller.kind == "interrupts"):
            missing += len(set(LIST) - set(heard))
    return doubled, missing


def _exchanges(call: Json) -> Iterable[tuple[str, list[str]]]:
    """What the caller said (nothing, before it first did) and the words heard until it spoke again."""
    own = [line for line in call["lines"] if line["side"] == "caller"]
    bounds = [(0.0, ""), *((line["start_ms"], line["text"]) for line in own), (float("inf"), "")]
    for (since, said), (until, _) in pairwise(bounds):
        words = [word["text"] for word in call["heard_words"] if since <= word["start_ms"] < until]
        yield said, [_plain(word) for word in words]


def _answers(heard: Sequence[str]) -> Iterable[list[str]]:
    """The words of each answer. It quotes what it answers; the same quotation is the same answer once more.

    Whose worker dies while they interrupt is heard from the middle on: what was interrupted is said to its end, and
    then comes an answer to the rest of their words.
    """
    found: dict[tuple[str, ...], list[str]] = {(): []}
    quoted: tuple[str, ...] = ()
    for at, word in enumerate(heard):
        if list(heard[at : at + 2]) == ["you", "said"]:
            quoted = tuple(takewhile(lambda each: each != "the", heard[at + 2 :]))
        found.setdefault(quoted, []).append(word)
    return found.values()


def _takeovers(call: Json, record: Json) -> list[Takeover]:
    found = []
    for (_, ended), (began, _) in pairwise(call["stream_times_ms"]):
        if ended is not None:
            found.append(Takeover(_phase(call, record, ended), began - ended, silence_ms(call, ended, began)))
    return found


def _phase(call: Json, record: Json, at_ms: float) -> str:
    """What was going on when the media ended, as the caller saw it; tools and transfers are known from the record."""
    words, own = call["heard_words"], [line for line in call["lines"] if line["side"] == "caller"]
    said = [line for line in own if line["start_ms"] <= at_ms]
    if not said:
        return "welcome" if not words or at_ms - _last_heard(words, at_ms) < AUDIBLE_MS else "listening"
    last = said[-1]
    if last["end_ms"] > at_ms:
        return "caller speaking"
    if last["text"].startswith("thank you"):
        return "closing"
    if last["text"].startswith("a person"):
        return "transferring"
    if _last_heard(words, at_ms) < last["end_ms"]:
        return "tool running" if last["text"].startswith("please book") else "thinking"
    return "speaking" if at_ms - _last_heard(words, at_ms) < AUDIBLE_MS else "listening"


def silence_ms(call: Json, ended: float, began: float) -> float | None:
    """How long an assistant that owed speech was silent until its next word, from its last one or the caller's last.

    It owes nothing when it had said all that it had to say, or when the caller speaks before it does.
    """
    own = [line for line in call["lines"] if line["side"] == "caller"]
    words = call["heard_words"]
    after = next((float(word["start_ms"]) for word in words if word["start_ms"] >= began), None)
    if after is None or any(ended <= line["start_ms"] < after for line in own):
        return None
    heard = _last_heard(words, ended)
    said = max((float(line["end_ms"]) for line in own if line["start_ms"] <= ended), default=0.0)
    if said > heard or not words or words[0]["start_ms"] > ended:
        return after - max(said, ended)
    last = [_plain(word["text"]) for word in words if word["start_ms"] <= ended][-1]
    if last in _LAST_WORDS:
        return None
    return after - (heard if ended - heard < AUDIBLE_MS else ended)


def _last_heard(words: Sequence[Json], at_ms: float) -> float:
    return max((float(word["end_ms"]) for word in words if word["start_ms"] <= at_ms), default=0.0)


def _plain(word: str) -> str:
    return word.strip(".,?!").lower()


def _recorded(record: Json) -> list[str]:
    turns = facts(record, "turn_committed")[-4:]
    return [f"{turn['kind']}{' cut' if turn['interrupted'] else ''}: {turn['assistant_text']}" for turn in turns]


def _talk(call: Json) -> str:
    return " | ".join(f"{line['side'][0]}: {line['text']}" for line in call["lines"])[-700:]
