"""Reads many messages of a stream with one request, without a consumer: what a subject filter matches, in order.

    read = await direct_get(bus, EVENTS.name, {"seq": 1, "next_by_subj": journal}, each, batch=500)

Any replica may answer, and one of them may not know the last messages yet: who needs those asks the leader for the
last sequence (`get_last_msg`) and reads until it was seen. The stream must allow it (`Stream.direct`).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from calliope.errors import TransientError

if TYPE_CHECKING:
    from calliope.messaging.broker import Bus

MAX_BYTES: Final = 4 * 1024 * 1024
AT_ONCE: Final = 8
"""Messages handled before the loop has its turn."""
_END, _NOTHING, _NOBODY = "204", "404", "503"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream; `stored_at` is aware."""

    sequence: int
    body: bytes
    stored_at: datetime


@dataclass(slots=True)
class Read:
    """What came of one request. `pending`: messages behind the last one, as far as the replica knows."""

    messages: int = 0
    pending: int = 0


async def direct_get(
    bus: "Bus",
    stream: str,
    request: Mapping[str, Any],
    each: Callable[[Message], None],
    *,
    batch: int,
    timeout_s: float,
) -> Read:
    """Ask for up to `batch` messages. Raises: TransientError."""
    read, done, problem = Read(), asyncio.Event(), ""

    async def take(message: Msg) -> None:
        nonlocal problem
        headers = message.headers or {}
        if (status := headers.get("Status")) is not None:
            problem = "" if status in {_END, _NOTHING} else _in_words(stream, status, headers.get("Description", ""))
            read.pending = int(headers.get("Nats-Num-Pending", "0"))
            done.set()
            return
        read.messages += 1
        stored_at = datetime.fromisoformat(headers["Nats-Time-Stamp"])
        each(Message(int(headers["Nats-Sequence"]), message.data, stored_at))
        if read.messages % AT_ONCE == 0:
            await asyncio.sleep(0)

    try:
        async with asyncio.timeout(timeout_s):
            inbox = bus.connection.new_inbox()
            answers = await bus.connection.subscribe(inbox, cb=take)
            try:
                body = orjson.dumps({**request, "batch": batch, "max_bytes": MAX_BYTES})
                await bus.connection.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=inbox)
                await done.wait()
            finally:
                await answers.unsubscribe()
    except (NatsError, OSError, TimeoutError) as exc:
        raise TransientError(f"{stream} cannot be read now") from exc
    if problem:
        raise TransientError(problem)
    return read


def _in_words(stream: str, status: str, description: str) -> str:
    if status == _NOBODY:
        return f"nobody answers reads of {stream}: run `python -m calliope.messaging.provision`"
    return f"{stream} cannot be read: {description or status}"
