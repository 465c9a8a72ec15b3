"""Which endpoints an event goes to. Pure: event and endpoints in, deliveries out."""

from collections.abc import Iterable
from typing import Final

from calliope.contracts.assistants import Endpoints
from calliope.contracts.base import Event
from calliope.contracts.subjects import Entity
from calliope_webhooks.model import Endpoint, EndpointKind, Row, delivery_id, endpoint_id

SMS: Final = "sms"
"""Entity of `calliope.sms.*`: what an SMS hook listens to."""

_KINDS: Final = {
    Entity.CALL.value: EndpointKind.WEBHOOK,
    Entity.ASSISTANT.value: EndpointKind.WEBHOOK,
    SMS: EndpointKind.SMS,
}


def entity_of(event: Event) -> str:
    """The entity by the event's type: `call` of `calliope.call.ended.v1`."""
    parts = event.type.split(".")
    return parts[1] if len(parts) > 2 else ""


def kind_for(event: Event) -> EndpointKind | None:
    """Which URL of the assistant the event is for; None when it is for none (deliveries, keys, numbers)."""
    return _KINDS.get(entity_of(event))


def assistant_in(event: Event) -> str | None:
    """The assistant, when the event itself says which: its own events, `call.started`, messages."""
    if entity_of(event) == Entity.ASSISTANT.value:
        return event.entity_id
    named = event.data.get("assistant_id")
    return named if isinstance(named, str) and named else None


def endpoints_of(organization_id: str, known: Endpoints) -> tuple[Endpoint, ...]:
    """The endpoints of one assistant, also those without a URL, so that a removal is remembered."""
    urls = {EndpointKind.WEBHOOK: known.webhook_url, EndpointKind.SMS: known.sms_webhook_url}
    return tuple(
        Endpoint(
            id=endpoint_id(organization_id, known.assistant_id, kind),
            organization_id=organization_id,
            assistant_id=known.assistant_id,
            kind=kind,
            url=url or None,
            secrets=known.signing_secrets,
        )
        for kind, url in urls.items()
    )


def plan(event: Event, body: bytes, endpoints: Iterable[Endpoint], *, now_ms: int) -> tuple[Row, ...]:
    """One delivery per endpoint that wants the event and has a URL, due now."""
    kind = kind_for(event)
    return tuple(
        Row(
            id=delivery_id(event.id, endpoint.id),
            organization_id=endpoint.organization_id,
            endpoint_id=endpoint.id,
            assistant_id=endpoint.assistant_id,
            event_id=event.id,
            event_type=event.type,
            subject=event.subject,
            url=endpoint.url,
            body=body,
            created_at_ms=now_ms,
            since_ms=now_ms,
            claim_at_ms=now_ms,
            traceparent=event.traceparent,
        )
        for endpoint in endpoints
        if endpoint.kind is kind and endpoint.url and endpoint.organization_id == event.organization
    )
