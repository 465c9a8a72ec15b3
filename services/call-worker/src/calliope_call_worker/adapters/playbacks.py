"""How far replies have come, in the key-value bucket `playback`, written without waiting for the server's word."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from pydantic import ValidationError

from calliope.messaging.broker import Bus, connected
from calliope.messaging.connection import MessageTooLarge
from calliope.messaging.streams import PLAYBACK_BUCKET
from calliope_call_worker.playback import Playback

log = structlog.get_logger(__name__)

READ_S: Final = 1.0
WRITE_S: Final = 1.0


class NatsPlaybacks:
    """See `ports.Playbacks`. While the bus is away nothing is kept: it would be old when the bus is back."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def keep(self, call_id: str, owner: int, playback: Playback) -> None:
        """See `ports.Playbacks`."""
        if not connected(self._bus):
            return
        try:
            async with asyncio.timeout(WRITE_S):
                await self._bus.connection.publish(_subject(call_id, owner), playback.model_dump_json().encode())
        except (NatsError, MessageTooLarge, OSError, TimeoutError) as exc:
            log.debug("playback.not_kept", call_id=call_id, reason=type(exc).__name__)

    async def find(self, call_id: str, owners: Sequence[int]) -> Playback | None:
        """See `ports.Playbacks`."""
        try:
            async with asyncio.timeout(READ_S):
                bucket = await self._bus.jetstream.key_value(PLAYBACK_BUCKET)
                for owner in owners:
                    with suppress(KeyNotFoundError):
                        value = (await bucket.get(_key(call_id, owner))).value
                        return None if value is None else Playback.model_validate_json(value)
        except (NatsError, OSError, TimeoutError, ValidationError) as exc:
            log.warning("playback.not_read", call_id=call_id, reason=type(exc).__name__)
        return None


def _key(call_id: str, owner: int) -> str:
    return f"{call_id}.{owner}"


def _subject(call_id: str, owner: int) -> str:
    return f"$KV.{PLAYBACK_BUCKET}.{_key(call_id, owner)}"
