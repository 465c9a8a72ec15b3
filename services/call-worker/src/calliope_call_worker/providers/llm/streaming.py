"""A model behind an HTTP address, of any vendor: asked, read event by event, and ended so that nothing stays open."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urljoin

import aiohttp
import orjson
from aiohttp import ClientResponse, ClientSession

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import LlmEvent
from calliope_call_worker.providers.llm.sse import SseError, SseReader
from calliope_call_worker.providers.wire import fail, retry_after_s

TAIL_S: Final = 0.3  # after the model stopped, how long usage may still be on its way
END_S: Final = 0.05
REFUSAL_S: Final = 1.0
WARM_S: Final = 3.0
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120, sock_connect=5, sock_read=60)  # the last resort; deadlines are above
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # small events; packing them only delays
}


class Answer(Protocol):
    """How one vendor's answer is read. `over` when the model said why it stopped; usage may still follow."""

    over: bool

    def read(self, chunk: Any) -> LlmEvent | None:
        """What an event brought. Raises: ProviderError, when it is an error or no event at all."""

    def ended(self) -> tuple[LlmEvent, ...]:
        """The tool calls and the end."""


class Refusal(Protocol):
    """How one vendor's HTTP errors are read."""

    def __call__(self, provider: str, status: int, body: Any, retry_after_s: float | None) -> ProviderError:
        """The error of a status that is not 200; `body` is its JSON, its text, or None."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one model is asked, as whom, and how refusals read there."""

    provider: str
    url: str
    refusal: Refusal
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    model_url: str | None = None
    """Where the vendor describes the model, if it does."""


class HttpModel:
    """What every vendor's model behind one HTTP address has in common; see `LanguageModel`."""

    def __init__(self, session: ClientSession, endpoint: Endpoint, model: str) -> None:
        self._session = session
        self._endpoint = endpoint
        self._model = model

    @property
    def name(self) -> str:
        """See `LanguageModel`."""
        return self._endpoint.provider

    @property
    def model(self) -> str:
        """See `LanguageModel`."""
        return self._model

    async def warm(self) -> None:
        """See `LanguageModel`. Asks the server for nothing, without a key; what it answers is of no interest."""
        with suppress(TimeoutError, aiohttp.ClientError, OSError, ValueError):
            root = urljoin(self._endpoint.url, "/")
            async with asyncio.timeout(WARM_S), self._session.head(root, allow_redirects=False):
                pass

    @asynccontextmanager
    async def _ask(self, body: bytes, answer: Answer) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """The events of one answer; leaving the block aborts it. Raises: ProviderError, here or while iterating."""
        provider = self.name
        try:
            response = await self._session.post(
                self._endpoint.url,
                data=body,
                headers={**_HEADERS, **self._endpoint.headers},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            fail(provider, exc)
        try:
            if response.status != 200:
                said, wait_s = await _refused(response), retry_after_s(response.headers)
                raise self._endpoint.refusal(provider, response.status, said, wait_s)
            async with aclosing(_events(provider, response, answer)) as events:
                yield events
            if answer.over:
                await _to_the_end(response)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()  # an answer that nobody wants any more must not run on


async def _events(provider: str, response: ClientResponse, answer: Answer) -> AsyncGenerator[LlmEvent, None]:
    reader = SseReader()
    whole = response.content_type == "application/json"  # a server that does not stream
    try:
        while not reader.done:
            data = await (_body(response) if whole else _next(response, answer))
            values = [orjson.loads(data)] if whole else reader.feed(data) if data else reader.finish()
            for value in values:
                event = answer.read(value)
                if event is not None:
                    yield event
            if whole or not data:
                break
    except (SseError, orjson.JSONDecodeError) as exc:
        raise ProviderError(provider, Failure.MALFORMED, "the answer is not a stream of JSON") from exc
    except (aiohttp.ClientError, OSError) as exc:
        if not answer.over:
            fail(provider, exc)
    if not (reader.done or answer.over):
        raise ProviderError(provider, Failure.DROPPED, "the answer ended in the middle")
    for event in answer.ended():
        yield event


async def _next(response: ClientResponse, answer: Answer) -> bytes:
    """More of the stream, empty at its end; after the model stopped it is waited for only for a moment."""
    if not answer.over:
        return await response.content.readany()
    try:
        async with asyncio.timeout(TAIL_S):
            return await response.content.readany()
    except TimeoutError:
        return b""


async def _body(response: ClientResponse) -> bytes:
    parts, size = [], 0
    while size < MAX_BODY_BYTES and (part := await response.content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


async def _to_the_end(response: ClientResponse) -> None:
    """The last bytes, so that the connection serves the next turn without a new handshake."""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(END_S):
            while await response.content.readany():
                pass


async def _refused(response: ClientResponse) -> Any:
    """What it says: JSON, or a plain text. A page for a browser says nothing."""
    try:
        async with asyncio.timeout(REFUSAL_S):
            body = await response.content.read(64 * 1024)
    except (aiohttp.ClientError, OSError):
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace").strip()
        return None if not text or text.startswith("<") else text
