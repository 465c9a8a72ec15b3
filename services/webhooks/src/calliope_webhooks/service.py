"""The use cases of webhooks: plan the deliveries of an event, show deliveries, send one again."""

import base64
import binascii
import re
import time
from collections import OrderedDict
from typing import Final

from calliope.contracts.base import Event
from calliope.contracts.subjects import Entity
from calliope.contracts.webhooks import Delivery, DeliveryPage, DeliveryState, ListDeliveries
from calliope.errors import PermanentError, TransientError, not_found, wrong_cursor
from calliope_webhooks.dispatcher import Dispatcher
from calliope_webhooks.endpoints import EndpointBook
from calliope_webhooks.fanout import assistant_in, entity_of, kind_for, plan
from calliope_webhooks.model import shown
from calliope_webhooks.ports import CallMap, CallStarts, Clock, Log

_CALLS_REMEMBERED: Final = 10_000
_POSITION: Final = re.compile(r"\d{15}[A-Za-z0-9_+-]{1,128}")
_PAGE_BYTES: Final = 200 * 1024
"""A reply on the bus holds 256 KiB; a page ends early rather than being refused."""


class SystemClock:
    """The time of day."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Fanout:
    """Plans one delivery per event and endpoint; running twice plans once, because the store knows the pair."""

    def __init__(
        self, endpoints: EndpointBook, calls: CallMap, starts: CallStarts, dispatcher: Dispatcher, clock: Clock
    ) -> None:
        self._endpoints = endpoints
        self._calls = calls
        self._starts = starts
        self._dispatcher = dispatcher
        self._clock = clock
        self._assistants: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def plan(self, event: Event, body: bytes) -> int:
        """Store what is to be delivered and start it; how many were new.

        Raises: TransientError, when the store or the owner of assistants is away, or a call's start is not known yet;
        PermanentError, when the event does not say whose it is.
        """
        if kind_for(event) is None:
            return 0
        if entity_of(event) == Entity.ASSISTANT.value:
            self._endpoints.forget(event.organization, event.entity_id)
        assistant_id = await self._assistant_of(event)
        endpoints = await self._endpoints.of_assistant(event.organization, assistant_id)
        by_id = {endpoint.id: endpoint for endpoint in endpoints}
        planned = 0
        for row in plan(event, body, endpoints, now_ms=self._clock.now_ms()):
            planned += await self._dispatcher.submit(row, by_id[row.endpoint_id])
        return planned

    async def _assistant_of(self, event: Event) -> str:
        named = assistant_in(event)
        if entity_of(event) != Entity.CALL.value:
            if named is None:
                raise PermanentError(f"{event.type} names no assistant")
            return named
        key = (event.organization, event.entity_id)
        if named is not None:
            if self._assistants.get(key) != named:
                await self._keep(key, named)
            return named
        known = self._assistants.get(key) or await self._calls.get_call(*key)
        if known is not None:
            self._remember(key, known)
            return known
        begun = await self._starts.assistant_of(*key)  # another process reads the start, or it is a dead letter
        if begun is None:
            raise TransientError("the start of this call is not on the bus")
        await self._keep(key, begun)
        return begun

    async def _keep(self, key: tuple[str, str], assistant_id: str) -> None:
        """Raises: TransientError, when the store is away; then it is not in memory either, so that it is kept later."""
        self._remember(key, assistant_id)  # first in memory: events of the same call are being handled beside this
        try:
            await self._calls.put_call(*key, assistant_id)
        except BaseException:
            self._assistants.pop(key, None)
            raise

    def _remember(self, key: tuple[str, str], assistant_id: str) -> None:
        self._assistants[key] = assistant_id
        self._assistants.move_to_end(key)
        if len(self._assistants) > _CALLS_REMEMBERED:
            self._assistants.popitem(last=False)


class Deliveries:
    """What an organization asks about its deliveries; other organizations' are not there."""

    def __init__(self, log: Log, dispatcher: Dispatcher, clock: Clock) -> None:
        self._log = log
        self._dispatcher = dispatcher
        self._clock = clock

    async def list(self, organization_id: str, query: ListDeliveries) -> DeliveryPage:
        """A page, newest first; it may be shorter than asked for. Raises: CommandError, TransientError."""
        rows = await self._log.page(organization_id, query, before=_position(query.cursor))
        items: list[Delivery] = []
        size = 0
        for row in rows[: query.limit]:
            item = shown(row)
            size += len(item.model_dump_json().encode()) + 1
            if items and size > _PAGE_BYTES:
                break
            items.append(item)
        more = len(rows) > len(items)
        return DeliveryPage(items=tuple(items), next_cursor=_cursor(rows[len(items) - 1].position) if more else None)

    async def replay(self, organization_id: str, delivery_id: str, *, command_id: str | None) -> Delivery:
        """Send again with the same `webhook-id`, a whole schedule ahead; one that is being sent stays as it is.

        Twice the same command is one replay. Raises: CommandError, TransientError.
        """
        row = await self._log.find(organization_id, delivery_id)
        if row is None:
            raise not_found("delivery", delivery_id)
        if (command_id and row.replayed_by == command_id) or row.state is DeliveryState.SENDING:
            return shown(row)
        begun = await self._log.replay(
            organization_id, delivery_id, command_id=command_id or "", now_ms=self._clock.now_ms()
        )
        if begun is None:  # it was taken between the two looks
            return shown(await self._log.find(organization_id, delivery_id) or row)
        self._dispatcher.wake(begun.endpoint_id, begun.organization_id)
        return shown(begun)


def _cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()


def _position(cursor: str | None) -> str | None:
    """Raises: CommandError `invalid`, when no page gave this cursor."""
    if cursor is None:
        return None
    try:
        found = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as exc:
        raise wrong_cursor() from exc
    if not _POSITION.fullmatch(found):
        raise wrong_cursor()
    return found
