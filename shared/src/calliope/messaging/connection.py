"""One connection to NATS that never gives up: it reconnects where the client would close, and it caps what is sent.

Behaviours of the client are changed here, three of which were seen to take a whole process down:
a server error (`-ERR`) closes the connection for good; a pull on a closed connection or a missing durable returns at
once, so that the loop around it never yields; a message above the server's limit closes the connection of everybody.
And a ping overtakes what waits to be sent, so that `flush` and `drain` prove nothing about a subscription just made.
A cancellation that comes together with an answer is lost by the client's waits; here it is obeyed.
What came in one burst is worked through in one go, some 70 µs a message; here others have their turn in between.
"""

import asyncio
import random
from typing import Any, Final, cast

from nats.aio.client import Client, Server
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from calliope.contracts import subjects
from calliope.errors import PermanentError
from calliope.messaging.streams import DEAD, MAX_MESSAGE_BYTES
from calliope.observability import metrics
from calliope.runtime.cancellation import cancellable

_RECONNECT_WAIT_S: Final = 0.5
_PULL_PAUSE_S: Final = 1.0
_AT_ONCE: Final = 4
"""Messages taken from the socket before the loop has its turn: of the dearest, 0.4 ms each, for less than 2 ms."""
_DEAD_PREFIX: Final = subjects.DEAD_LETTERS.removesuffix(">")
_RECOVERABLE_BY_CLIENT: Final = ("stale connection", "permissions violation")

_PULL_FAILURES: Final = metrics.counter(
    "calliope_bus_pull_failures_total", "Pulls refused at once: durable or connection gone.", "durable"
)


class MessageTooLarge(PermanentError):  # noqa: N818 - a refusal, in the words of the HTTP status
    """A message above `MAX_MESSAGE_BYTES` was not sent."""


def check_size(subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
    """Raises: MessageTooLarge, counting headers as the server does. A dead letter may add reasons to its message."""
    size = len(payload) + sum(len(key) + len(value) + 4 for key, value in (headers or {}).items())
    limit = DEAD.max_message_bytes if subject.startswith(_DEAD_PREFIX) else MAX_MESSAGE_BYTES
    if size > limit:
        raise MessageTooLarge(f"{size} bytes for {subject} are more than {limit}")


def pick_server(pool: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
    """Any server of the pool, after a wait that differs from client to client."""
    return random.choice(pool), _RECONNECT_WAIT_S * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, no secret


class Connection(Client):
    """A NATS client that is closed only by ourselves."""

    _burst = 0

    async def _process_msg(self, *message: Any) -> None:
        self._burst = (self._burst + 1) % _AT_ONCE
        if not self._burst:
            await asyncio.sleep(0)
        await super()._process_msg(*message)

    async def connect(self, *args: Any, **options: Any) -> None:
        """As the client's."""
        await cancellable(super().connect(*args, **options))

    async def request(self, *args: Any, **options: Any) -> Msg:
        """Every question passes here: commands, JetStream, key-value."""
        return await cancellable(super().request(*args, **options))

    async def flush(self, *args: Any, **options: Any) -> None:
        """As the client's."""
        await cancellable(super().flush(*args, **options))

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Every message passes here: requests, replies, JetStream, key-value. Raises: MessageTooLarge."""
        check_size(subject, payload, headers)
        await super().publish(subject, payload, reply, headers)

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        if self.is_connected and self._transport is not None:  # the answer says that the server has read all before
            self._transport.writelines(self._pending[:])
            self._pending, self._pending_data_size = [], 0
        await super()._send_ping(future)

    async def _connect_to_server(self, s: Any) -> None:
        if self._transport is not None:  # the client leaves the socket of a failed try open
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    async def _process_err(self, err_msg: str) -> None:
        if any(known in err_msg.lower() for known in _RECOVERABLE_BY_CLIENT):
            await super()._process_err(err_msg)
            return
        error = Error(f"nats: {err_msg.strip(chr(39))}")
        await self._error_cb(error)
        await self._process_op_err(error)

    @property
    def is_reviving(self) -> bool:
        """Whether somebody is at work to connect again."""
        task = self._reconnection_task
        return task is not None and not task.done()

    def revive(self) -> None:
        """Start connecting again, when nobody does."""
        if self.is_closed or self.is_connected or self.is_reviving:
            return
        self._status = Client.RECONNECTING
        self._ps.reset()
        self._reconnection_task = asyncio.get_running_loop().create_task(
            self._attempt_reconnect(), name="bus.reconnect"
        )

    def jetstream(self, **options: Any) -> JetStreamContext:
        """A JetStream context whose pulls are patient."""
        return _PatientJetStream(self, **options)


class _PatientJetStream(JetStreamContext):
    async def pull_subscribe_bind(self, *args: Any, **options: Any) -> JetStreamContext.PullSubscription:
        subscription = await super().pull_subscribe_bind(*args, **options)
        return cast("JetStreamContext.PullSubscription", _PatientPull(subscription))


class _PatientPull:
    """Pauses after a refused pull: the loops around it try again at once, for ever.

    And says that nothing came in one way: the client raises its own error or the plain one, by how the time ran out.
    """

    def __init__(self, inner: JetStreamContext.PullSubscription) -> None:
        self._inner = inner

    async def fetch(self, *args: Any, **options: Any) -> list[Msg]:
        try:
            return await cancellable(self._inner.fetch(*args, **options))
        except TimeoutError as exc:
            raise NatsTimeoutError from exc
        except (ConnectionClosedError, APIError) as exc:
            _PULL_FAILURES.labels(self._inner._consumer or "").inc()
            await asyncio.sleep(_PULL_PAUSE_S)
            if isinstance(exc, ConnectionClosedError):
                return []
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
