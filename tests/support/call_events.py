"""Events of calls for tests: a whole call, and calls as Hypothesis makes them up."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from calliope.contracts.base import Event, Message, event_type
from calliope.contracts.calls import EVENT_NAMES, EndReason, Stage

BEGAN: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
STARTED: Final[dict[str, Any]] = {
    "direction": "inbound", "from_number": "+15550001", "to_number": "+15550002", "assistant_id": "asst_1",
    "assistant_revision": 3, "carrier": "twilio", "carrier_call_id": "CA1", "worker_id": "w1",
}  # fmt: skip
Fact = tuple[str, dict[str, Any]]


def an_event(
    sequence: int,
    fact: str,
    /,
    *,
    call_id: str = "call_9",
    organization: str = "org_1",
    began: datetime = BEGAN,
    **data: Any,
) -> Event:
    """One event of a call, a second after the one before."""
    return Event(
        id=f"evt_{organization}_{call_id}_{sequence}",
        type=event_type("call", fact),
        source="/calliope/call-worker",
        subject=f"call/{call_id}",
        time=began + timedelta(seconds=sequence),
        organization=organization,
        sequence=sequence,
        data=data,
    )


def told(facts: Iterable[Fact], **whose: Any) -> list[Event]:
    """Facts as the events of one call."""
    return [an_event(at, name, **whose, **data) for at, (name, data) in enumerate(facts, start=1)]


def journal_of(facts: Iterable[Message], *, began: datetime) -> list[Event]:
    """What a worker wrote behind the first fact of a call that it took."""
    written = ((EVENT_NAMES[type(fact)], fact.model_dump(mode="json")) for fact in facts)
    return told([("started", STARTED), *written], call_id="call_1", began=began)


def a_call(**whose: Any) -> list[Event]:
    """A call in which everything happens."""
    wrong_key = {"stage": "llm", "provider": "openai", "reason": "key", "detail": "refused with 401"}
    facts: list[Fact] = [
        ("started", STARTED),
        ("answered", {"stream_id": "MZ1"}),
        ("provider_failed", wrong_key | {"action": "asks groq"}),
        ("turn_started", {"turn": 1, "text": "Hello?", "at_ms": 900.0}),
        *_tool("book", ok=False),
        *_tool("lookup", ok=True),
        ("interrupted", {"turn": 1, "at_ms": 1_500.0, "reaction_ms": 90.0, "words": 3, "heard_text": "Good"}),
        ("turn_committed", {"turn": 1, "kind": "reply", "assistant_text": "Good", "interrupted": True}),
        ("provider_failed", wrong_key | {"detail": "refused with 403", "action": "gives up"}),
        ("provider_failed", {"stage": "stt", "provider": "deepgram", "reason": "dropped"}),
        ("turn_started", {"turn": 2, "text": "Bye.", "at_ms": 4_000.0}),
        *_tool("book", ok=True),
        ("turn_committed", {"turn": 2, "kind": "goodbye", "user_text": "Bye.", "assistant_text": "Bye."}),
        ("ended", {"reason": "caller_hung_up", "duration_ms": 5_000.0, "detail": "in a hurry", "turns": 2}),
        ("analyzed", {"status": "done", "summary": "Short.", "structured_data": {"mood": "good"}}),
    ]
    return told(facts, **whose)


def _tool(name: str, *, ok: bool) -> list[Fact]:
    call = {"turn": 1, "tool_call_id": "t1", "name": name}
    return [
        ("tool_started", {**call, "arguments": {}, "idempotency_key": "k"}),
        ("tool_finished", {**call, "ok": ok, "result": "done", "duration_ms": 5.0}),
    ]


_WORDS: Final = st.sampled_from(["openai", "groq", "book", "a.b", "$where", "", "key", "any"])
_BETWEEN: Final = st.one_of(
    st.builds(lambda turn, text: ("turn_started", {"turn": turn, "text": text, "at_ms": 1.0}),
              st.integers(1, 9), st.text(max_size=9)),
    st.builds(lambda turn: ("turn_committed", {"turn": turn, "kind": "reply", "assistant_text": "Yes."}),
              st.integers(0, 9)),
    st.builds(lambda name, ok: ("tool_finished", {"turn": 1, "tool_call_id": "t", "name": name, "ok": ok, "result": "",
                                                  "duration_ms": 1.0}), _WORDS, st.booleans()),
    st.builds(lambda name: ("tool_started", {"turn": 1, "tool_call_id": "t", "name": name, "arguments": {},
                                             "idempotency_key": "k"}), _WORDS),
    st.builds(lambda stage, provider, reason, detail: (
        "provider_failed", {"stage": stage, "provider": provider, "reason": reason, "detail": detail}),
        st.sampled_from([stage.value for stage in Stage]), _WORDS, st.sampled_from(["key", "quota", "dropped"]),
        st.text(max_size=9)),
    st.sampled_from([
        ("answered", {"stream_id": "MZ1"}),
        ("interrupted", {"turn": 1, "at_ms": 1.0, "reaction_ms": 9.0, "words": 3, "heard_text": "Good"}),
        ("resumed", {"worker_id": "w2", "previous_worker_id": "w1", "reason": "its worker died"}),
        ("levitated", {"height": 7}),
        ("ended", {"reason": "abducted"}),
    ]),
)  # fmt: skip
_ENDS: Final = st.builds(
    lambda reason, analysis: [("ended", {"reason": reason, "duration_ms": 5_000.0}), *analysis],
    st.sampled_from([reason.value for reason in EndReason]),
    st.sampled_from(
        [[], [("analyzed", {"status": "failed", "error": "no key"})], [("analyzed", {"status": "skipped"})]]
    ),
)


REFUSED: Final[dict[str, Any]] = {
    **STARTED, "code": "signature", "detail": "compare twilio_config.auth_token", "genuine": False,
}  # fmt: skip


@st.composite
def calls(draw: st.DrawFn, /, **whose: Any) -> list[Event]:
    """Calls that a worker could have journalled, with gaps where an event is still on its way."""
    if draw(st.integers(0, 19)) == 0:
        return told([("refused", REFUSED)], **whose)
    ended = draw(st.one_of(st.just([]), _ENDS))
    events = told([("started", STARTED), *draw(st.lists(_BETWEEN, max_size=15)), *ended], **whose)
    on_its_way = draw(st.sets(st.sampled_from(range(len(events))), max_size=2))
    return [event for at, event in enumerate(events) if at not in on_its_way] or events
