"""How rows look as documents of the store. Pure; knows no driver.

Documents hold milliseconds as integers; only `expire_at`, which the store's own clean-up reads, is a date. A row can be
claimed while it has a `claim_at`: the time of the next attempt, or the end of a lease; finished rows have none.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from calliope.contracts.assistants import SealedSecret
from calliope.contracts.open_enum import known
from calliope.contracts.webhooks import DeliveryAttempt, DeliveryState
from calliope_webhooks.model import LOG_LENGTH, Endpoint, EndpointKind, Row

Document = dict[str, Any]

KEPT: Final = timedelta(days=30)
"""How long a delivery is known."""


def logged(attempt: DeliveryAttempt) -> dict[str, Document]:
    """One more attempt. They are a map by number: appending to a list of documents is not equal on all stores."""
    change: dict[str, Document] = {"$set": {f"log.{attempt.number}": attempt.model_dump(mode="json")}}
    if attempt.number > LOG_LENGTH:
        change["$unset"] = {f"log.{attempt.number - LOG_LENGTH}": ""}
    return change


def finished(attempt: DeliveryAttempt, state: DeliveryState, extra: Document) -> dict[str, Document]:
    """The last attempt of a delivery that nobody is to claim again."""
    change = logged(attempt)
    change["$set"] |= {"state": state.value, "lease": "", **extra}
    change["$unset"] = change.get("$unset", {}) | {"claim_at": ""}
    return change


def row_fields(row: Row) -> Document:
    """What a new delivery is stored as."""
    return {
        "_id": row.id,
        "organization_id": row.organization_id,
        "endpoint_id": row.endpoint_id,
        "assistant_id": row.assistant_id,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "subject": row.subject,
        "url": row.url,
        "body": row.body,
        "position": row.position,
        "created_at": row.created_at_ms,
        "since": row.since_ms,
        "state": str(row.state),
        "claim_at": row.claim_at_ms,
        "lease": row.lease,
        "attempts": row.attempts,
        "tried_before": row.tried_before,
        "forced": row.forced,
        "deaths": row.deaths,
        "replayed_by": row.replayed_by,
        "traceparent": row.traceparent,
        "announce_n": 0,
        "log": {},
        "expire_at": datetime.now(UTC) + KEPT,
    }


def row(found: Document) -> Row:
    """What a read gives."""
    log = sorted(found["log"].items(), key=lambda item: int(item[0]))
    return Row(
        id=found["_id"],
        organization_id=found["organization_id"],
        endpoint_id=found["endpoint_id"],
        assistant_id=found["assistant_id"],
        event_id=found["event_id"],
        event_type=found["event_type"],
        subject=found["subject"],
        url=found["url"],
        body=bytes(found["body"]),
        created_at_ms=found["created_at"],
        since_ms=found["since"],
        state=known(DeliveryState, found["state"]),
        claim_at_ms=found.get("claim_at"),
        lease=found["lease"],
        attempts=found["attempts"],
        tried_before=found["tried_before"],
        forced=found["forced"],
        deaths=found["deaths"],
        replayed_by=found["replayed_by"],
        traceparent=found["traceparent"],
        log=tuple(DeliveryAttempt.model_validate(attempt) for _, attempt in log),
    )


def endpoint(found: Document) -> Endpoint:
    """What a read gives."""
    secrets = sorted(found["secrets"].items(), key=lambda item: int(item[0]))
    return Endpoint(
        id=found["_id"],
        organization_id=found["organization_id"],
        assistant_id=found["assistant_id"],
        kind=EndpointKind(found["kind"]),
        url=found["url"],
        secrets=tuple(SealedSecret.model_validate(secret) for _, secret in secrets),
        gone_url=found["gone_url"],
    )
