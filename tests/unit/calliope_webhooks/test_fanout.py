"""Which endpoints an event goes to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from calliope.contracts.assistants import Endpoints
from calliope.contracts.base import Event
from calliope_webhooks.fanout import assistant_in, endpoints_of, kind_for, plan
from calliope_webhooks.model import EndpointKind

KNOWN = Endpoints(assistant_id="asst_1", webhook_url="https://a.example/", sms_webhook_url="https://b.example/")


def an_event(type_: str = "calliope.call.ended.v1", **fields: Any) -> Event:
    entity = type_.split(".")[1]
    return Event(
        **{
            "id": "evt_1",
            "type": type_,
            "source": "/calliope/test",
            "subject": f"{entity}/x_1",
            "time": datetime(2026, 1, 2, tzinfo=UTC),
            "organization": "org_1",
            "sequence": 1,
            "data": {},
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("type_", "url"),
    [
        ("calliope.call.started.v1", "https://a.example/"),
        ("calliope.call.analyzed.v1", "https://a.example/"),
        ("calliope.assistant.updated.v1", "https://a.example/"),
        ("calliope.sms.received.v1", "https://b.example/"),
    ],
)
def test_each_event_goes_to_the_url_that_is_for_it(type_: str, url: str) -> None:
    (row,) = plan(an_event(type_), b"body", endpoints_of("org_1", KNOWN), now_ms=7)
    assert (row.url, row.body, row.claim_at_ms, row.event_id) == (url, b"body", 7, "evt_1")


@pytest.mark.parametrize("entity", ["delivery", "api_key", "organization", "phone_number"])
def test_events_of_the_house_go_nowhere(entity: str) -> None:
    event = an_event(f"calliope.{entity}.created.v1")
    assert kind_for(event) is None
    assert plan(event, b"", endpoints_of("org_1", KNOWN), now_ms=0) == ()


def test_without_a_url_nothing_is_planned() -> None:
    assert plan(an_event(), b"", endpoints_of("org_1", Endpoints(assistant_id="asst_1")), now_ms=0) == ()


def test_an_endpoint_of_another_organization_gets_nothing() -> None:
    assert plan(an_event(), b"", endpoints_of("org_2", KNOWN), now_ms=0) == ()


def test_the_same_event_and_endpoint_have_the_same_delivery() -> None:
    first, again = (plan(an_event(), b"", endpoints_of("org_1", KNOWN), now_ms=now)[0] for now in (1, 2))
    other = plan(an_event(id="evt_2"), b"", endpoints_of("org_1", KNOWN), now_ms=1)[0]
    assert first.id == again.id != other.id


def test_an_event_says_its_assistant_or_not() -> None:
    assert assistant_in(an_event("calliope.assistant.updated.v1", subject="assistant/asst_9")) == "asst_9"
    assert assistant_in(an_event("calliope.call.started.v1", data={"assistant_id": "asst_1"})) == "asst_1"
    assert assistant_in(an_event("calliope.call.ended.v1")) is None


def test_an_assistant_has_one_endpoint_per_kind() -> None:
    kinds = [endpoint.kind for endpoint in endpoints_of("org_1", KNOWN)]
    assert kinds == [EndpointKind.WEBHOOK, EndpointKind.SMS]
