"""How rows look as documents of the store. Pure; knows no driver.

Documents and events are kept as JSON text inside their rows, so that keys such as `$ref` mean nothing to the store.
"""

import json
from datetime import UTC, datetime
from typing import Any

from calliope.contracts.base import Event
from calliope_assistants.call_listing import keys_of
from calliope_assistants.ports import AssistantRow, Commands, NumberRow
from calliope_assistants.recorded import Recorded
from calliope_assistants.summaries import SUMMARY_VERSION
from calliope_assistants.webhook_keys import WebhookKey, WebhookKeys

Doc = dict[str, Any]


def first_event(event: Event) -> Doc:
    """What a new row has of its event."""
    return {"outbox": {event.id: event.model_dump_json()}, "outbox_n": 1}


def with_event(fields: Doc, event: Event) -> Doc:
    """An update that writes fields and their event in one act."""
    return {"$set": {**fields, f"outbox.{event.id}": event.model_dump_json()}, "$inc": {"outbox_n": 1}}


def assistant_fields(row: AssistantRow) -> Doc:
    """What a write sets."""
    return {
        "name_key": row.name_key,
        "revision": row.revision,
        "sequence": row.sequence,
        "updated_at": text(row.updated_at),
        "document": json.dumps(row.document),
        "webhook": None if row.webhook is None else {"keys": json.dumps(_keys_fields(row.webhook))},
        "commands": _commands_text(row.commands),
        "deleted": row.deleted,
    }


def assistant(row: Doc) -> AssistantRow:
    """What a read gives."""
    keys = row.get("webhook")
    return AssistantRow(
        id=row["_id"],
        organization_id=row["org_id"],
        name_key=row["name_key"],
        revision=row["revision"],
        sequence=row["sequence"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        document=json.loads(row["document"]),
        webhook=None if keys is None else _webhook_keys(keys),
        commands=_commands(row["commands"]),
        deleted=row["deleted"],
    )


def number_fields(row: NumberRow) -> Doc:
    """What a write sets."""
    return {
        "org_id": row.organization_id,
        "assistant_id": row.assistant_id,
        "carrier": row.carrier,
        "revision": row.revision,
        "sequences": json.dumps(dict(row.sequences)),
        "updated_at": text(row.updated_at),
        "commands": _commands_text(row.commands),
    }


def number(row: Doc) -> NumberRow:
    """What a read gives."""
    return NumberRow(
        number=row["_id"],
        organization_id=row["org_id"],
        assistant_id=row["assistant_id"],
        carrier=row["carrier"],
        revision=row["revision"],
        sequences=json.loads(row["sequences"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        commands=_commands(row["commands"]),
    )


def _keys_fields(keys: WebhookKeys) -> list[Doc]:
    return [
        {
            "sealed": key.sealed,
            "until": None if key.until is None else text(key.until),
            "fingerprint": key.fingerprint,
        }
        for key in (keys.current, *keys.replaced)
    ]


def _webhook_keys(fields: Doc) -> WebhookKeys:
    """Also as it was stored before there could be three: `current`, `previous`, `previous_until`."""
    if "keys" in fields:
        current, *replaced = (
            WebhookKey(key["sealed"], _moment(key["until"]), key["fingerprint"]) for key in json.loads(fields["keys"])
        )
        return WebhookKeys(current, tuple(replaced))
    previous, until = json.loads(fields["previous"]), _moment(fields["previous_until"])
    replaced = [] if previous is None or until is None else [WebhookKey(previous, until)]
    return WebhookKeys(WebhookKey(json.loads(fields["current"])), tuple(replaced))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def call_id(organization_id: str, call_id: str) -> str:
    """An organization cannot write to another's record, even if it knew the id; no token holds a `/`."""
    return f"{organization_id}/{call_id}"


def call_event_id(event: Event) -> str:
    """A call has one event of each sequence."""
    return f"{call_id(event.organization, event.entity_id)}/{event.sequence}"


def call_event(event: Event) -> Doc:
    """The row of an event. Its name stands beside it, to read some kinds only."""
    return {"_id": call_event_id(event), "name": event.name, "body": event.model_dump_json()}


def call_row(row: Doc, recorded: Recorded) -> Doc:
    """The next revision of the row of a call, with the keys that lists find it by."""
    written = {"summary_version": SUMMARY_VERSION, "revision": row["revision"] + 1, "recorded": str(recorded)}
    return {**row, **written, "listed": keys_of(row["org_id"], row)}


def _commands_text(commands: Commands) -> str:
    return json.dumps({command: text(at) for command, at in commands.items()})


def _commands(text: str) -> Commands:
    return {command: datetime.fromisoformat(at) for command, at in json.loads(text).items()}


def text(moment: datetime) -> str:
    """Moments that expire nothing are text that sorts: a compatible store turns dates into text in updates anyway."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
