"""Rebuilding a call from its journal: what the next worker needs to go on as if nothing had happened. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast

import orjson

from calliope.contracts.base import Event
from calliope.contracts.calls import HandedOver, ToolFinished, ToolStarted, TurnKind, TurnStarted
from calliope_call_worker.conversation import Turn, from_json, size_of
from calliope_call_worker.plan import Continuation
from calliope_call_worker.playback import BegunReply
from calliope_call_worker.providers.llm.base import ToolCall, ToolResult
from calliope_call_worker.tools.catalogue import END_CALL, TRANSFER_CALL

MAX_TRIES: Final = 3
"""So often in a row a call is taken over without its media coming."""
STREAM_LOST: Final = "a new media stream is awaited"
STREAM_UNHEARD: Final = f"{STREAM_LOST}; nothing was heard on this one"
"""What `provider_failed` says is done about a media stream that was lost."""
MAX_UNHEARD: Final = 3
"""So many streams in a row may be lost before anything is heard on them."""
MAX_LOST: Final = 10
LOST_WITHIN_S: Final = 60.0
"""So many streams may be lost within this time, whatever was heard."""
MEDIA_AWAITED_S: Final = 15.0
"""So long whoever goes on with a call waits for its media."""
MEDIA_COMES_S: Final = 2.0
"""Within so long the media of a call comes to a worker that took it over, else another one takes it."""
UNHEARD_S: Final = 1.0
"""For so long a caller who was silent when nobody listened any more is taken to have stayed so."""

_TALK: Final = frozenset({"turn_started", "turn_committed"})
"""The welcome is committed as a turn, too."""
_TRIES: Final = {"resumed": 1, "abandoned": -1}


def continuation(
    facts: Sequence[Event], now: float, *, history_characters: int | None = None, begun: BegunReply | None = None
) -> Continuation:
    """History of committed turns, the words nobody answered, and what their turn's tools had done.

    Of the history the latest turns are kept, whole, up to so many characters and at least one; without a bound, all.
    Facts in the middle of a long call may be missing: what they would add lies beyond that bound.

    `now` is Unix time. A turn that was started and not committed was not (wholly) heard: its words are answered anew,
    under its number, behind the results of its tools; where `begun` tells what was heard of the answer, to its end.
    """
    committed: list[Event] = []
    opened: Event | None = None
    turns = 0
    started: list[Event] = []
    told = 0
    finished: dict[tuple[int, str], Event] = {}
    for fact in facts:
        match fact.name:
            case "turn_started":
                opened, turns = fact, int(str(fact.data["turn"]))
            case "turn_committed":
                if fact.data.get("messages"):
                    committed.append(fact)
                told = len(started)
                if opened is not None and fact.data["turn"] == opened.data["turn"]:
                    opened = None
            case "tool_started":
                started.append(fact)
            case "tool_finished":
                finished[int(str(fact.data["turn"])), str(fact.data["tool_call_id"])] = fact
    open_turn = None if opened is None else TurnStarted.model_validate(opened.data)
    # Without an open turn the assistant had gone on by itself with one that was interrupted for nothing.
    of_reply = (
        started[told:] if opened is None else [each for each in started if each.data["turn"] == opened.data["turn"]]
    )
    begun_tools = tuple(ToolStarted.model_validate(fact.data) for fact in of_reply)
    past = Continuation(
        history=_latest(committed, history_characters),
        turns=turns if open_turn is None else open_turn.turn - 1,
        unanswered="" if open_turn is None else open_turn.text,
        welcome_owed=bool(facts) and not any(fact.name in _TALK for fact in facts),
        elapsed_s=max(0.0, now - facts[0].time.timestamp()) if facts else 0.0,
        words_missed=any(fact.name == "answered" for fact in facts) and not _left_in_silence(facts, now),
        answered_at=next((fact.time for fact in facts if fact.name == "answered"), None),
        ends=_ends(facts, started, turns),
        tools_begun=begun_tools,
        tools_done=tuple(
            _done(one, finished[one.turn, one.tool_call_id])
            for one in begun_tools
            if (one.turn, one.tool_call_id) in finished
        ),
    )
    return past if begun is None else _with(past, begun)


def _with(past: Continuation, begun: BegunReply) -> Continuation:
    """Its turn may be missing among the facts: they are written one after the other, and speaking does not wait."""
    past = replace(past, begun=begun, ends=past.ends or bool(begun.ends), welcome_owed=begun.kind == TurnKind.WELCOME)
    if not begun.answers:
        return replace(past, welcome_owed=past.welcome_owed and not begun.over)
    if begun.over:
        return replace(past, turns=begun.turn, unanswered="")
    return replace(past, turns=begun.turn - 1, unanswered=begun.text)


def _ends(facts: Sequence[Event], started: Sequence[Event], turns: int) -> bool:
    """Whether the assistant was ending the call: its tool was asked in the last turn, or a goodbye was heard."""
    asked = any(fact.data["name"] == END_CALL and fact.data["turn"] == turns for fact in started)
    last = next((fact for fact in reversed(facts) if fact.name in _TALK), None)
    said = last is not None and last.data.get("kind") == TurnKind.GOODBYE and not last.data.get("interrupted")
    return asked or said


def _left_in_silence(facts: Sequence[Event], now: float) -> bool:
    """Whether nobody spoke when the last worker let the call go, a moment ago."""
    last = facts[-1]
    silent = last.name == "handed_over" and HandedOver.model_validate(last.data).between_turns
    return silent and now - last.time.timestamp() <= UNHEARD_S


def _latest(committed: Sequence[Event], characters: int | None) -> tuple[Turn, ...]:
    """Read from the end, so that a long call costs no more than a short one; as written, which `to_json` did."""
    turns: deque[Turn] = deque()
    kept = 0
    for fact in reversed(committed):
        turn = tuple(from_json(message) for message in cast("list[dict[str, Any]]", fact.data["messages"]))
        kept += size_of(turn)
        if turns and characters is not None and kept > characters:
            break
        turns.appendleft(turn)
    return tuple(turns)


def _done(started: ToolStarted, finished: Event) -> tuple[ToolCall, ToolResult]:
    arguments = orjson.dumps(started.arguments).decode()
    call = ToolCall(started.tool_call_id, started.name, arguments)
    return call, ToolResult(started.tool_call_id, started.name, ToolFinished.model_validate(finished.data).result)


def ended(facts: Sequence[Event]) -> bool:
    """Whether the call has its end; only its analysis may come after that."""
    return any(fact.name == "ended" for fact in facts)


def is_transferred(facts: Sequence[Event]) -> bool:
    """Whether the caller is on the way to somebody else: that did not fail, and no worker went on with the call."""
    for fact in reversed(facts):
        if fact.name == "transfer_started":
            return True
        failed = fact.name == "tool_finished" and fact.data["name"] == TRANSFER_CALL and not fact.data["ok"]
        if failed or fact.name == "resumed":
            return False
    return False


def begun_transfer(facts: Sequence[Event]) -> tuple[str, str]:
    """The number that the caller is on the way to, and the key of the command; of facts that tell so."""
    to_number = next(fact.data["to_number"] for fact in reversed(facts) if fact.name == "transfer_started")
    asked = (fact for fact in reversed(facts) if fact.name == "tool_started" and fact.data["name"] == TRANSFER_CALL)
    return str(to_number), next((str(fact.data["idempotency_key"]) for fact in asked), "")


def is_open(facts: Sequence[Event]) -> bool:
    """Whether the caller waits for us: the call was taken, is not over, and not on its way to somebody else."""
    return bool(facts) and facts[0].name == "started" and not ended(facts) and not is_transferred(facts)


def still_rings(facts: Sequence[Event]) -> bool:
    """Whether the caller hears it ring, as far as is known: open, and never answered."""
    return is_open(facts) and not any(fact.name == "answered" or fact.name in _TALK for fact in facts)


def resumed_since(facts: Sequence[Event], since: datetime | None) -> Event | None:
    """The last fact that a worker goes on with the call, if it is younger than that."""
    resumed: list[Event] = []
    for fact in facts:
        if fact.name == "resumed":
            resumed.append(fact)
        elif fact.name == "abandoned":
            del resumed[-1:]  # it was not sure that it had the call, and left it
    return resumed[-1] if resumed and since is not None and resumed[-1].time > since else None


def goes_on_elsewhere(facts: Sequence[Event], since: datetime | None, now: float) -> bool:
    """Whether another worker took the call since then: its media flows, or may be on the way. `now` is Unix time.

    One that has got no media for `MEDIA_COMES_S` died meanwhile, or whoever asks would not ask any more.
    """
    resumed = resumed_since(facts, since)
    return resumed is not None and (_flows(facts, resumed) or now - resumed.time.timestamp() < MEDIA_COMES_S)


def waits_for_media(facts: Sequence[Event], now: float) -> bool:
    """Whether a worker went on with the call just now and has got no media of it. `now` is Unix time."""
    told = {"resumed", "answered", "abandoned", "handed_over", "ended"}
    last = next((fact for fact in reversed(facts) if fact.name in told), None)
    return last is not None and last.name == "resumed" and now - last.time.timestamp() < MEDIA_AWAITED_S


def _flows(facts: Sequence[Event], resumed: Event) -> bool:
    return any(fact.name == "answered" and fact.sequence > resumed.sequence for fact in facts)


def outdated(facts: Sequence[Event], at: datetime | None) -> bool:
    """Whether news of a lost stream, as old as `at`, come too late: its media flows again since.

    Also when enough workers took it over in a row and none got its media; the last one ends it. `None` is never late.
    """
    if at is None:
        return False
    resumed = resumed_since(facts, at)
    if resumed is not None and _flows(facts, resumed):
        return True
    tries = 0
    for fact in facts:
        tries = 0 if fact.name == "answered" else max(0, tries + _TRIES.get(fact.name, 0))
    return tries >= MAX_TRIES


def media_is_hopeless(facts: Sequence[Event], now: float) -> str | None:
    """Why no further media stream is worth waiting for, in words for the record; None, when one is.

    `now` is Unix time. A stream on which something was heard, or a turn that was, makes an end of a row.
    """
    unheard = 0
    lost: list[float] = []
    for fact in facts:
        action = fact.data.get("action") if fact.name == "provider_failed" else None
        if action in {STREAM_LOST, STREAM_UNHEARD}:
            unheard = unheard + 1 if action == STREAM_UNHEARD else 0
            lost.append(fact.time.timestamp())
        elif fact.name == "turn_committed" and fact.data.get("assistant_text"):
            unheard = 0
    if unheard >= MAX_UNHEARD:
        return f"the carrier's media was lost {unheard} times in a row, and nothing was heard in between"
    recent = sum(now - at < LOST_WITHIN_S for at in lost)
    return f"the carrier's media was lost {recent} times within {LOST_WITHIN_S:g} s" if recent >= MAX_LOST else None
