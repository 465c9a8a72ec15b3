"""The catalogue and the AsyncAPI document made from it: whole, and readable by others."""

import re

import orjson
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from calliope import asyncapi
from calliope.contracts.catalogue import COMMANDS, EVENTS, EventShape, event_shape
from calliope.contracts.subjects import Command, Entity, parse_event

DOCUMENT = asyncapi.build(version="1")
TEXT = orjson.dumps(DOCUMENT).decode()


def test_every_command_is_catalogued_once() -> None:
    assert sorted(shape.subject for shape in COMMANDS) == sorted(Command)


def test_every_event_type_is_catalogued_once() -> None:
    assert len({shape.type for shape in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize("shape", EVENTS, ids=lambda shape: shape.type)
def test_every_event_says_what_it_means(shape: EventShape) -> None:
    assert shape.says.endswith(".")
    assert shape.entity in Entity


def test_an_event_that_is_not_catalogued_is_refused() -> None:
    with pytest.raises(LookupError, match=r"calliope\.call\.sneezed\.v1 is not declared"):
        event_shape("calliope.call.sneezed.v1")


def test_the_asyncapi_document_has_the_form_of_version_3() -> None:
    assert ApplicationSchema.model_validate(DOCUMENT).asyncapi == "3.0.0"
    assert len(DOCUMENT["operations"]) == len(COMMANDS) + len(EVENTS)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref":"#/([^"]+)"', TEXT):
        found = DOCUMENT
        for step in reference.split("/"):
            found = found[step]
        assert isinstance(found, dict)


def test_an_event_channel_is_a_subject_with_two_ids_left_open() -> None:
    address = DOCUMENT["channels"]["call_ended"]["address"]
    subject = parse_event(address.format(organization="org_1", entity_id="call_9"))
    assert (subject.organization, subject.entity, subject.entity_id, subject.event) == (
        "org_1",
        "call",
        "call_9",
        "ended",
    )


def test_a_command_names_who_answers_and_both_shapes() -> None:
    operation = DOCUMENT["operations"]["calls_accept"]
    assert operation["x-owner"] == "call-worker"
    message = DOCUMENT["components"]["messages"]["calls_accept"]
    assert message["payload"]["properties"]["payload"]["$ref"].endswith("/CarrierRequest")
    reply = DOCUMENT["components"]["messages"]["calls_accept_reply"]
    assert reply["payload"]["oneOf"][0]["properties"]["ok"]["$ref"].endswith("/CarrierResponse")


def test_owners_are_services() -> None:
    owners = {shape.owner for shape in COMMANDS} | {shape.owner for shape in EVENTS}
    assert owners == {"assistants", "call-worker", "webhooks"}
