"""What the next worker learns from a journal: nothing that happened is forgotten, nothing is done twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calliope.contracts.base import Event, Message
from calliope.contracts.calls import (
    EVENT_NAMES,
    CallAbandoned,
    CallAnswered,
    FailureReason,
    HandedOver,
    ProviderFailed,
    Resumed,
    Stage,
    ToolFinished,
    ToolStarted,
    TransferStarted,
    TurnCommitted,
    TurnKind,
    TurnStarted,
)
from calliope_call_worker.calls.claim import lost
from calliope_call_worker.continuation import (
    LOST_WITHIN_S,
    MAX_LOST,
    MAX_UNHEARD,
    MEDIA_COMES_S,
    STREAM_LOST,
    STREAM_UNHEARD,
    continuation,
    goes_on_elsewhere,
    is_transferred,
    media_is_hopeless,
    outdated,
)
from calliope_call_worker.conversation import to_json
from calliope_call_worker.plan import Continuation
from calliope_call_worker.providers.llm.base import AssistantMessage, ToolCall, ToolResult, UserMessage
from calliope_call_worker.reply import Reply

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


def after(*facts: Message) -> Continuation:
    return continuation(journal(*facts), BEGAN.timestamp() + 7)


def journal(*facts: Message) -> list[Event]:
    return [
        Event(
            id=f"evt_{number}",
            type=f"calliope.call.{EVENT_NAMES[type(fact)]}.v1",
            source="/test",
            subject="call/call_1",
            time=BEGAN,
            organization="org_1",
            sequence=number,
            data=fact.model_dump(mode="json"),
        )
        for number, fact in enumerate(facts, 1)
    ]


def started(turn: int, text: str) -> TurnStarted:
    return TurnStarted(turn=turn, text=text, at_ms=0)


def committed(turn: int, text: str, answer: str) -> TurnCommitted:
    said = (to_json(UserMessage(text)), to_json(AssistantMessage(answer)))
    return TurnCommitted(turn=turn, kind=TurnKind.REPLY, user_text=text, assistant_text=answer, messages=said)


def tool(turn: int, call_id: str, **changes: Any) -> ToolStarted:
    known = {"name": "book", "arguments": {"people": 2}, "idempotency_key": f"key-{call_id}"}
    return ToolStarted(turn=turn, tool_call_id=call_id, **(known | changes))


def result(turn: int, call_id: str) -> ToolFinished:
    return ToolFinished(turn=turn, tool_call_id=call_id, name="book", ok=True, result="booked", duration_ms=1)


def test_committed_turns_are_the_history() -> None:
    past = after(started(1, "Hello"), committed(1, "Hello", "Hi."))
    assert past.history == ((UserMessage("Hello"), AssistantMessage("Hi.")),)
    assert (past.turns, past.unanswered, past.elapsed_s) == (1, "", 7)


def test_a_call_lasts_since_its_first_media_however_often_it_is_taken_over() -> None:
    answered = CallAnswered(stream_id="MZ1")
    told = enumerate(journal(answered, started(1, "Hello"), CallAnswered(stream_id="MZ2")))
    facts = [fact.model_copy(update={"time": BEGAN + timedelta(seconds=at)}) for at, fact in told]
    assert continuation(facts, 0.0).answered_at == facts[0].time
    assert lost(facts, "nobody came").ended_at == facts[-1].time
    assert after(started(1, "Hello")).answered_at is None


def test_words_nobody_answered_are_answered_under_the_number_they_had() -> None:
    past = after(started(1, "Hello"), committed(1, "Hello", "Hi."), started(2, "A table"))
    assert (past.turns, past.unanswered) == (1, "A table")


@pytest.mark.parametrize(
    ("facts", "owed"),
    [
        ((), True),
        ((TurnCommitted(turn=0, kind=TurnKind.WELCOME, assistant_text="Hello."),), False),
        ((started(1, "Hello"),), False),
    ],
    ids=["killed in it", "heard", "answered into"],
)
def test_a_welcome_is_owed_until_it_was_heard_or_the_caller_had_a_turn(facts: tuple[Message, ...], owed: bool) -> None:
    assert after(CallAnswered(stream_id="s"), *facts).welcome_owed is owed


def test_a_tool_that_was_done_in_the_open_turn_is_not_done_again() -> None:
    past = after(started(1, "A table"), tool(1, "a"), result(1, "a"))
    call, answer = ToolCall("a", "book", '{"people":2}'), ToolResult("a", "book", "booked")
    assert (past.tools_done, past.tools_unknown) == (((call, answer),), ())
    reply = Reply("r1", TurnKind.REPLY, 1, "A table")
    reply.resume(past.tools_done)
    reply.rounds[-1].said = "It is booked. "
    assert reply.messages("It is booked. ") == (
        UserMessage("A table"),
        AssistantMessage("", (call,)),
        answer,
        AssistantMessage("It is booked."),
    )


def goodbye(turn: int, *, interrupted: bool = False) -> TurnCommitted:
    return TurnCommitted(turn=turn, kind=TurnKind.GOODBYE, assistant_text="Goodbye.", interrupted=interrupted)


@pytest.mark.parametrize(
    ("facts", "ends"),
    [
        ((started(1, "goodbye"), tool(1, "c1", name="end_call")), True),
        ((started(1, "goodbye"), tool(1, "c1", name="end_call"), committed(1, "goodbye", "Bye.")), True),
        ((started(1, "hello"), committed(1, "hello", "Hi."), goodbye(1)), True),
        ((started(1, "hello"), committed(1, "hello", "Hi."), goodbye(1, interrupted=True)), False),
        ((started(1, "bye"), tool(1, "c1", name="end_call"), committed(1, "bye", "B"), started(2, "wait")), False),
        ((started(1, "a table"), tool(1, "c1")), False),
        ((), False),
    ],
    ids=["saying it", "said it", "idle goodbye", "goodbye cut short", "the caller went on", "another tool", "no facts"],
)
def test_a_call_that_its_assistant_was_ending_is_ended(facts: tuple[Message, ...], ends: bool) -> None:
    assert after(*facts).ends is ends


def test_a_tool_of_unknown_outcome_is_asked_again_with_the_key_it_had() -> None:
    past = after(started(1, "A table"), tool(1, "a"))
    assert (past.tools_done, past.tools_unknown) == ((), (tool(1, "a"),))


def test_tools_of_a_turn_that_went_on_by_itself_are_known_to_the_next_worker() -> None:
    """Its first half was committed when it was interrupted, for nothing."""
    cut = committed(1, "A table", "One moment")
    past = after(started(1, "A table"), tool(1, "a"), result(1, "a"), cut, tool(1, "b"), tool(1, "c"), result(1, "c"))
    assert [call.id for call, _ in past.tools_done] == ["c"]
    assert past.tools_unknown == (tool(1, "b"),)


def test_tools_of_turns_that_are_over_are_history_only() -> None:
    past = after(started(1, "A table"), tool(1, "a"), committed(1, "A table", "Hm."), started(2, "Hello?"))
    assert (past.tools_done, past.tools_unknown) == ((), ())


TAKEN, FLOWS = Resumed(worker_id="w2", previous_worker_id="w1", reason="killed"), CallAnswered(stream_id="s")
LEFT = CallAbandoned(worker_id="w2", reason="not sure that it has it")


@pytest.mark.parametrize(
    ("facts", "news_after_s", "late"),
    [
        ((FLOWS,), 1, False),
        ((FLOWS, TAKEN, FLOWS), 1, False),
        ((FLOWS, TAKEN, FLOWS), -1, True),
        ((FLOWS, TAKEN), -1, False),
        ((FLOWS, TAKEN, TAKEN), 1, False),
        ((FLOWS, TAKEN, TAKEN, TAKEN), 1, True),
        ((TAKEN, FLOWS, TAKEN, TAKEN), 1, False),
        ((FLOWS, TAKEN, TAKEN, TAKEN), None, False),
    ],
)
def test_a_lost_stream_is_no_news_once_the_call_went_on_nor_when_none_can_be_had(
    facts: tuple[Message, ...], news_after_s: float | None, late: bool
) -> None:
    at = None if news_after_s is None else BEGAN + timedelta(seconds=news_after_s)
    assert outdated(journal(*facts), at) is late


@pytest.mark.parametrize(
    ("facts", "since_s", "later_s", "elsewhere"),
    [
        ((FLOWS, TAKEN), -1, 0.1, True),
        ((FLOWS, TAKEN), -1, MEDIA_COMES_S, False),
        ((FLOWS, TAKEN, FLOWS), -1, 60, True),
        ((FLOWS, TAKEN, FLOWS), 1, 2, False),
        ((FLOWS,), -1, 0, False),
        ((FLOWS, TAKEN), None, 0.1, False),
        ((FLOWS, TAKEN, LEFT), -1, 0.1, False),
    ],
    ids=["on its way", "died before it", "flows", "flowed, and ended", "nobody", "who asks is not late", "left again"],
)
def test_a_call_that_somebody_took_over_since_the_question_came_is_left_to_them_unless_they_get_no_media(
    facts: tuple[Message, ...], since_s: float | None, later_s: float, elsewhere: bool
) -> None:
    since = None if since_s is None else BEGAN + timedelta(seconds=since_s)
    assert goes_on_elsewhere(journal(*facts), since, BEGAN.timestamp() + later_s) is elsewhere


HANDED, ASKED = (
    TransferStarted(to_number="+15550001234"),
    ToolFinished(turn=1, tool_call_id="t1", name="transfer_call", ok=True, result="", duration_ms=1),
)


@pytest.mark.parametrize(
    ("facts", "transferred"),
    [
        ((FLOWS,), False),
        ((FLOWS, HANDED), True),
        ((FLOWS, HANDED, ASKED), True),
        ((FLOWS, HANDED, ASKED.model_copy(update={"ok": False})), False),
        ((FLOWS, HANDED, ASKED.model_copy(update={"ok": False, "name": "book"})), True),
        ((FLOWS, HANDED, TAKEN, FLOWS), False),
        ((FLOWS, HANDED, TAKEN, HANDED), True),
    ],
)
def test_a_caller_is_on_the_way_to_somebody_else_until_that_failed_or_the_talk_went_on(
    facts: tuple[Message, ...], transferred: bool
) -> None:
    assert is_transferred(journal(*facts)) is transferred


def lost_stream(action: str) -> ProviderFailed:
    return ProviderFailed(stage=Stage.CARRIER, provider="twilio", reason=FailureReason.DROPPED, action=action)


UNHEARD, HEARD = lost_stream(STREAM_UNHEARD), lost_stream(STREAM_LOST)
OF_A_MODEL = ProviderFailed(stage=Stage.LLM, provider="openai", reason=FailureReason.DROPPED, action="retried")


@pytest.mark.parametrize(
    ("facts", "after_s", "hopeless"),
    [
        ((UNHEARD,) * (MAX_UNHEARD - 1), 1, False),
        ((UNHEARD, TAKEN, FLOWS) * MAX_UNHEARD, 1, True),
        ((UNHEARD,) * MAX_UNHEARD, 7_200, True),
        ((UNHEARD, UNHEARD, committed(1, "Hello?", "Yes."), UNHEARD), 1, False),
        ((UNHEARD, UNHEARD, committed(1, "Hello?", ""), UNHEARD), 1, True),
        ((UNHEARD, UNHEARD, started(1, "Hello?"), UNHEARD), 1, True),
        ((UNHEARD, UNHEARD, HEARD, UNHEARD), 1, False),
        ((HEARD,) * (MAX_LOST - 1), 1, False),
        ((HEARD,) * MAX_LOST, 1, True),
        ((HEARD,) * MAX_LOST, LOST_WITHIN_S + 1, False),
        ((OF_A_MODEL,) * 20, 1, False),
        ((TAKEN,) * 20, 1, False),
    ],
)
def test_media_that_dies_again_and_again_is_given_up(
    facts: tuple[Message, ...], after_s: float, hopeless: bool
) -> None:
    """Workers that die are no fault of the carrier, and a caller who speaks does not prove that anything is heard."""
    assert (media_is_hopeless(journal(*facts), BEGAN.timestamp() + after_s) is not None) is hopeless


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("facts", "later_s", "missed"),
    [
        ([], 0.0, False),
        ([CallAnswered(stream_id="MZ1")], 0.2, True),
        ([CallAnswered(stream_id="MZ1"), HandedOver(between_turns=True)], 0.2, False),
        ([CallAnswered(stream_id="MZ1"), HandedOver(between_turns=True)], 3.0, True),
        ([CallAnswered(stream_id="MZ1"), HandedOver(between_turns=False)], 0.2, True),
        ([CallAnswered(stream_id="MZ1"), HandedOver(between_turns=True), CallAnswered(stream_id="MZ2")], 0.2, True),
    ],
    ids=["still ringing", "killed", "drained", "drained, and long alone", "drained in mid-turn", "killed after that"],
)
def test_words_may_have_been_missed_unless_the_call_was_left_in_silence(
    facts: list[Message], later_s: float, missed: bool
) -> None:
    events = journal(*facts) if facts else journal(TurnStarted(turn=1, text="x", at_ms=0))
    assert continuation(events, events[-1].time.timestamp() + later_s).words_missed is missed
