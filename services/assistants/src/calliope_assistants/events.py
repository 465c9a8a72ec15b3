"""Events about documents: built with the row they are stored in. Pure."""

from datetime import datetime

from pydantic import JsonValue

from calliope.contracts.base import Event, event_type
from calliope.contracts.catalogue import event_shape
from calliope.contracts.subjects import Entity
from calliope.ids import new_id
from calliope.observability.traces import current_traceparent

SOURCE = "/calliope/assistants"


def build(
    entity: Entity,
    entity_id: str,
    name: str,
    *,
    organization: str,
    sequence: int,
    now: datetime,
    data: dict[str, JsonValue],
) -> Event:
    """One envelope. Data never holds a secret. Raises: LookupError, ValidationError: it is not as catalogued."""
    shape = event_shape(event_type(entity.value, name))
    shape.data.model_validate(data)
    return Event(
        id=new_id("evt"),
        type=shape.type,
        source=SOURCE,
        subject=f"{entity.value}/{entity_id}",
        time=now,
        organization=organization,
        sequence=sequence,
        traceparent=current_traceparent(),
        data=data,
    )
