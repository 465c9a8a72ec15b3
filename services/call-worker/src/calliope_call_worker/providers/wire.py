"""What every vendor client needs of aiohttp: opening and closing sockets in time, and its failures in our words."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn, cast

import aiohttp
import orjson
from aiohttp import ClientSession, ClientWebSocketResponse

from calliope.bodies import BodyError, read_body
from calliope.egress import is_blocked
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status

CLOSE_S: Final = 1.0
MAX_RETRY_AFTER_S: Final = 86_400.0
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024  # half a minute of audio as base64 fits easily; the default 4 MiB may not
MAX_JSON_BYTES: Final = 2 * 1024 * 1024
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


async def open_socket(
    session: ClientSession,
    url: str,
    *,
    provider: str,
    params: list[tuple[str, str]],
    headers: Mapping[str, str],
    deadline_s: float,
    reason_header: str | None = None,
) -> ClientWebSocketResponse:
    """A websocket whose handshake is done. `reason_header` is where the vendor repeats why it refuses.

    Raises: ProviderError.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await session.ws_connect(
                url,
                params=params,
                headers=headers,
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            )
    except aiohttp.WSServerHandshakeError as exc:
        reason = exc.headers.get(reason_header, "") if reason_header and exc.headers else ""
        detail = f"refused with {exc.status} {reason}".strip()
        failure = failure_of_status(exc.status)
        # not chained: the vendor error's repr holds the request's headers, and with them the key
        raise ProviderError(provider, failure, detail, retry_after_s=retry_after_s(exc.headers)) from None
    except (aiohttp.ClientError, OSError, ValueError) as exc:  # TimeoutError is an OSError
        fail(provider, exc)


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An HTTP answer; `body` is its JSON, or None when an error came without."""

    status: int
    body: Any
    headers: Mapping[str, str]


async def get_json(
    session: ClientSession,
    url: str,
    *,
    provider: str,
    headers: Mapping[str, str],
    params: Mapping[str, str] | None = None,
) -> JsonAnswer:
    """What a vendor's REST API says, whatever the status. The caller sets the deadline. Raises: ProviderError."""
    asked = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    try:
        async with session.get(url, params=params, headers=asked, allow_redirects=False) as response:
            body = await read_body(response, session, keep=MAX_JSON_BYTES)
    except BodyError as exc:
        raise ProviderError(provider, Failure.MALFORMED, f"the answer {exc}") from exc
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        fail(provider, exc)
    if body.cut:
        raise ProviderError(provider, Failure.MALFORMED, f"answered more than {MAX_JSON_BYTES} bytes")
    try:
        said = orjson.loads(body.data)
    except orjson.JSONDecodeError as exc:
        if response.status == 200:
            raise ProviderError(provider, Failure.MALFORMED, "answered with something that is not JSON") from exc
        said = None
    return JsonAnswer(response.status, said, response.headers)


def as_http(url: str) -> str:
    """The address of a vendor's REST API beside its websockets: `https` for `wss`, without a slash at the end."""
    return "http" + url.removeprefix("ws").rstrip("/") if url.startswith("ws") else url.rstrip("/")


async def close_socket(socket: ClientWebSocketResponse, *farewell: str) -> None:
    """Say farewell and close, within a second; after that the connection is cut."""
    try:
        async with asyncio.timeout(CLOSE_S):
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                for words in farewell if not socket.closed else ():
                    await socket.send_str(words)
                await socket.close()
    except TimeoutError:
        pass
    finally:
        transport = transport_of(socket)
        if transport is not None and not transport.is_closing():
            transport.abort()
        _release(socket)


def _release(socket: ClientWebSocketResponse) -> None:
    """After a reset aiohttp's own `close` leaves the connection checked out of its pool for good."""
    response = getattr(socket, "_response", None)
    if isinstance(response, aiohttp.ClientResponse):
        response.close()


def transport_of(socket: ClientWebSocketResponse) -> asyncio.WriteTransport | None:
    """The transport under a websocket. aiohttp shows it to writers only, so this is the one place that reaches in."""
    writer = getattr(socket, "_writer", None)
    transport = getattr(writer, "transport", None)
    return cast("asyncio.WriteTransport | None", transport)


def fail(provider: str, exc: BaseException) -> NoReturn:
    """Raise what an aiohttp failure means. Texts of aiohttp are left out: they may hold a URL with its query."""
    if is_blocked(exc):
        raise ProviderError(provider, Failure.REFUSED, "the address is not public") from exc
    if isinstance(exc, TimeoutError):
        raise ProviderError(provider, Failure.DEADLINE, "no answer in time") from exc
    is_certificate = isinstance(exc, aiohttp.ClientConnectorCertificateError | ssl.SSLError)  # ValueErrors, too
    if isinstance(exc, aiohttp.InvalidURL | ValueError) and not is_certificate:
        raise ProviderError(provider, Failure.REFUSED, "the URL is not valid") from exc
    raise ProviderError(provider, Failure.DROPPED, broken(exc)) from exc


def broken(exc: BaseException) -> str:
    """Why there was no answer, in words that hold nothing of the URL."""
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return "the name of the server was not found (DNS)"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return "the TLS certificate of the server is not valid"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "no TLS connection could be made"
        case aiohttp.ClientConnectorError() if isinstance(exc.os_error, ConnectionRefusedError):
            return "the connection was refused: nothing listens at the address"
        case aiohttp.ClientConnectorError():
            return "no connection could be made to the address"
        case aiohttp.ClientResponseError():
            return "the answer is not valid HTTP"
    return "the connection broke off before the answer was there"


def retry_after_s(headers: Mapping[str, str] | None) -> float | None:
    """What `retry-after-ms` or `retry-after` (seconds or a date) asks for."""
    if not headers:
        return None
    for name, scale in (("retry-after-ms", 1_000), ("retry-after", 1)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return min(max(0.0, float(text) / scale), MAX_RETRY_AFTER_S)
        except ValueError:
            pass
        try:
            left_s = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
            return min(max(0.0, left_s), MAX_RETRY_AFTER_S)
        except (ValueError, TypeError, OverflowError):
            pass
    return None


@asynccontextmanager
async def helpers() -> AsyncIterator[Spawn]:
    """A task group for work beside a block: cancelled when the block is left, and the block's error comes out bare.

    A helper must not raise; one that does is a bug and ends the block with an exception group.
    """
    error: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            task = group.create_task(work, name=name)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return task

        try:
            yield spawn
        except Exception as exc:
            error = exc
        finally:
            for task in list(tasks):
                task.cancel()
    if error is not None:
        raise error
