"""A value that a newer service sends makes no message unreadable for an older one: each reader passes it on.

First the rule over every message, then each event with a strange value in each of its fields, through each reader.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from calliope.contracts.base import Event, Reply
from calliope.contracts.call_records import CallRecord, CallSummary, ListCalls
from calliope.contracts.calls import CALL_EVENTS, EndReason
from calliope.contracts.catalogue import COMMANDS, EVENTS, EventShape
from calliope.contracts.errors import Problem
from calliope.contracts.identity import Principal, Scope, is_granted
from calliope.contracts.open_enum import MAX_VALUE, OpenEnum, known
from calliope.contracts.subjects import Entity
from calliope.contracts.webhooks import DeliveryState
from calliope.errors import CommandError
from calliope.messaging.outcome import Nak, outcome
from calliope.messaging.streams import WEBHOOKS_FANOUT
from calliope.validation.expectations import whole_example
from calliope_assistants.call_listing import keys_of
from calliope_assistants.summaries import row_of, summary_of
from calliope_call_worker.analysis.transcript import Transcript
from calliope_call_worker.continuation import continuation
from calliope_webhooks.fanout import assistant_in, plan
from calliope_webhooks.model import Endpoint, EndpointKind
from support.call_events import BEGAN, STARTED, an_event
from support.calls_in_memory import record_of

STRANGE: Final = "of_the_next_version"
READ: Final[set[type[BaseModel]]] = {
    *(shape.data for shape in EVENTS),
    *(shape.reply for shape in COMMANDS),
    Event,
    Problem,
}


def enums_in(annotation: Any) -> Iterator[tuple[Any, bool]]:
    """Every enumeration in an annotation, and whether any text may stand in its place."""
    several = get_origin(annotation) is Literal and len(get_args(annotation)) > 1
    if several or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        yield annotation, False
        return
    parts = get_args(annotation)
    texts = any(part is str or (get_args(part) and get_args(part)[0] is str) for part in parts)
    for part in parts:
        yield from ((each, is_open or texts) for each, is_open in enums_in(part))


def test_an_enumeration_is_seen_and_whether_it_is_open() -> None:
    assert list(enums_in(tuple[EndReason | None, ...])) == [(EndReason, False)]
    assert list(enums_in(CallSummary.model_fields["ended_reason"].annotation)) == [(EndReason, True)]
    assert list(enums_in(Literal["a", "b"])) == [(Literal["a", "b"], False)]


def models_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and those inside it."""
    found: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        for field in one.model_fields.values():
            waiting += [part for part in types_in(field.annotation) if issubclass(part, BaseModel)]
    return found


def types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from types_in(part)


def test_no_message_has_an_enumeration_that_its_readers_cannot_pass_on() -> None:
    closed = {
        f"{model.__name__}.{name}"
        for top in READ
        for model in models_in(top)
        for name, field in model.model_fields.items()
        for _, is_open in enums_in(field.annotation)
        if not is_open
    }
    assert closed == set(), "others write this field: make it an OpenEnum"


def open_fields(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if list(enums_in(field.annotation))]


STRANGE_FACTS: Final = [(name, field) for name, model in CALL_EVENTS.items() for field in open_fields(model)]


def strange_call(name: str, field: str) -> list[Event]:
    """A call with one fact whose field says what nobody here knows."""
    model = CALL_EVENTS[name]
    data = {**whole_example(model), field: STRANGE}
    if name in {"started", "refused"}:
        return [an_event(1, name, **{**STARTED, **data, "assistant_id": "asst_1", "from_number": "+15550001"})]
    return [an_event(1, "started", **STARTED), an_event(2, "answered", stream_id="MZ1"), an_event(3, name, **data)]


def test_the_events_with_enumerations_are_driven() -> None:
    assert {("ended", "reason"), ("turn_committed", "kind"), ("provider_failed", "reason")} <= set(STRANGE_FACTS)


@pytest.mark.parametrize(("name", "field"), STRANGE_FACTS)
def test_a_strange_value_reaches_list_record_and_gateway(name: str, field: str) -> None:
    facts = strange_call(name, field)
    row = row_of(facts)
    assert keys_of("org_1", row)
    summary = summary_of("call_9", "org_1", row)
    assert CallSummary.model_validate_json(summary.model_dump_json()) == summary
    record = record_of("call_9", facts)
    assert CallRecord.model_validate_json(record.model_dump_json()) == record
    shown_in_list = {"started", "refused", "ended", "provider_failed", "analyzed"}
    assert (STRANGE in summary.model_dump_json()) is (name in shown_in_list)


@pytest.mark.parametrize(("name", "field"), STRANGE_FACTS)
def test_a_strange_value_reaches_webhooks_and_the_next_worker(name: str, field: str) -> None:
    facts = strange_call(name, field)
    endpoint = Endpoint(
        id="end_1",
        organization_id="org_1",
        assistant_id="asst_1",
        kind=EndpointKind.WEBHOOK,
        url="https://a.example/",
        secrets=(),
    )
    for fact in facts:
        body = fact.model_dump_json().encode()
        assert assistant_in(fact) in {"asst_1", None}
        (row,) = plan(Event.model_validate_json(body), body, [endpoint], now_ms=0)
        assert row.body == body
    transcript = Transcript(max_characters=10_000)
    for fact in facts:
        transcript.add(fact)
    assert continuation(facts, BEGAN.timestamp()).turns >= 0


@pytest.mark.parametrize("shape", [shape for shape in EVENTS if shape.entity is not Entity.CALL], ids=str)
def test_events_about_documents_say_names_as_text(shape: EventShape) -> None:
    assert open_fields(shape.data) == []


def test_a_scope_that_is_not_known_lets_a_key_in_and_grants_nothing() -> None:
    principal = Principal.model_validate_json(
        '{"organization_id": "org_1", "key_id": "key_1", "scopes": ["faxes:write", "calls:read"]}'
    )
    assert is_granted(principal.scopes, Scope.CALLS_READ)
    assert not is_granted(principal.scopes, Scope.CALLS_WRITE)


def test_a_code_that_is_not_known_is_an_error_with_its_words_and_no_dead_letter() -> None:
    reply = Reply.model_validate_json('{"error": {"code": "on_holiday", "message": "come back on Monday"}}')
    assert reply.error is not None
    error = CommandError(reply.error.code, reply.error.message)
    assert (error.code, str(error)) == ("on_holiday", "come back on Monday")
    assert isinstance(outcome(error, 1, WEBHOOKS_FANOUT), Nak)


def test_known_values_are_members_and_what_clients_send_stays_closed() -> None:
    reader = TypeAdapter(OpenEnum[EndReason])
    assert reader.validate_python("idle") is EndReason.IDLE
    assert reader.validate_json('"idle"') is EndReason.IDLE
    assert reader.validate_python(STRANGE) == STRANGE
    for wrong in ("", 7, None, "x" * (MAX_VALUE + 1)):
        with pytest.raises(ValidationError):
            reader.validate_python(wrong)
    with pytest.raises(ValidationError):
        ListCalls.model_validate({"ended_reason": STRANGE})
    assert reader.json_schema()["anyOf"][0] == {"$ref": "#/$defs/EndReason"}
    assert known(DeliveryState, "dead") is DeliveryState.DEAD
    assert known(DeliveryState, STRANGE) == STRANGE
