"""Calls that began, in the stream `OPEN_CALLS`: one message a call, gone when somebody saw that it has ended."""

import asyncio
from typing import Final

import structlog
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from calliope.contracts import subjects
from calliope.errors import TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.publish import EXPECTED_LAST, WRONG_LAST_SEQUENCE
from calliope.messaging.streams import CALLS, CALLS_BUCKET, OPEN_CALLS

log = structlog.get_logger(__name__)

WAIT_S: Final = 2.0


class NatsOpenCalls:
    """See `ports.OpenCalls`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def note(self, call_id: str) -> None:
        """See `ports.OpenCalls`."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._bus.jetstream.publish(subjects.open_call(call_id), b"", stream=OPEN_CALLS.name)
        except (NatsError, OSError, TimeoutError) as exc:
            log.warning("open_call.not_noted", call_id=call_id, error=type(exc).__name__)

    async def without_owner(self) -> set[str]:
        """See `ports.OpenCalls`."""
        began = await self._last_tokens(OPEN_CALLS.name, OPEN_CALLS.subjects[0])
        if not began:
            return set()
        return began - await self._last_tokens(CALLS.name, CALLS.subjects[0])

    async def is_held(self, call_id: str) -> bool:
        """See `ports.OpenCalls`."""
        try:
            async with asyncio.timeout(WAIT_S):
                lease = await self._bus.jetstream.get_last_msg(CALLS.name, f"$KV.{CALLS_BUCKET}.{call_id}")
        except NotFoundError:
            return False
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("it is not known whether a worker holds the call", retry_after_s=1.0) from exc
        return bool(lease.data)  # a lease that was given back is an empty message

    async def claim(self, call_id: str, what: str) -> bool:
        """See `ports.OpenCalls`. The call's message says what was claimed last; who replaces it first has the claim."""
        subject = subjects.open_call(call_id)
        try:
            async with asyncio.timeout(WAIT_S):
                noted = await self._bus.jetstream.get_last_msg(OPEN_CALLS.name, subject)
                if noted.data == what.encode():
                    return False
                expected = {EXPECTED_LAST: str(noted.seq)}
                await self._bus.jetstream.publish(subject, what.encode(), stream=OPEN_CALLS.name, headers=expected)
        except NotFoundError:
            return False
        except APIError as exc:
            if exc.err_code in WRONG_LAST_SEQUENCE:
                return False
            raise TransientError("the bus does not say who may", retry_after_s=1.0) from exc
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("the bus does not say who may", retry_after_s=1.0) from exc
        return True

    async def forget(self, call_id: str) -> None:
        """See `ports.OpenCalls`."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._bus.jetstream.purge_stream(OPEN_CALLS.name, subject=subjects.open_call(call_id))
        except (NatsError, OSError, TimeoutError) as exc:
            log.info("open_call.not_forgotten", call_id=call_id, error=type(exc).__name__)

    async def _last_tokens(self, stream: str, subject: str) -> set[str]:
        """Of all subjects that have a message."""
        try:
            async with asyncio.timeout(WAIT_S):
                info = await self._bus.jetstream.stream_info(stream, subjects_filter=subject)
        except (NatsError, OSError, TimeoutError) as exc:
            raise TransientError("it is not known which calls are open", retry_after_s=1.0) from exc
        return {name.rpartition(".")[2] for name in info.state.subjects or {}}
