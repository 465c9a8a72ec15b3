"""OpenAI chat completions and everything that speaks them: OpenAI, Groq, xAI, custom servers.

A plain aiohttp client, not the official SDK: that one builds several validated objects a chunk. Measured with one chunk
a read (openai 3.54, uvloop): 333 ms of CPU per 1,000 chunks against some 65 ms here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import ClientResponse, ClientSession

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.chat_answer import ChatAnswer, refusal
from calliope_call_worker.providers.llm.chat_body import chat_body
from calliope_call_worker.providers.llm.quirks import Quirks
from calliope_call_worker.providers.llm.sse import SseError, SseReader
from calliope_call_worker.providers.wire import fail, retry_after_s

TAIL_S: Final = 0.3  # after the model stopped, how long usage may still be on its way
END_S: Final = 0.05
REFUSAL_S: Final = 1.0
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120, sock_connect=5, sock_read=60)  # the last resort; deadlines are above


class OpenAiChat:
    """See `LanguageModel`."""

    def __init__(self, session: ClientSession, quirks: Quirks, *, url: str, model: str, api_key: str | None) -> None:
        self._session = session
        self._quirks = quirks
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self._headers["Accept-Encoding"] = "identity"  # small events; packing them only delays
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    @property
    def name(self) -> str:
        """See `LanguageModel`."""
        return self._quirks.name

    @property
    def model(self) -> str:
        """See `LanguageModel`."""
        return self._model

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: LlmRequest) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        try:
            response = await self._session.post(
                self._url,
                data=chat_body(request, self._model, self._quirks),
                headers=self._headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            fail(self.name, exc)
        answer = ChatAnswer(self.name)
        try:
            if response.status != 200:
                raise refusal(self.name, response.status, await _refused(response), retry_after_s(response.headers))
            async with aclosing(self._events(response, answer)) as events:
                yield events
            if answer.over:
                await _to_the_end(response)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()  # an answer that nobody wants any more must not run on

    async def _events(self, response: ClientResponse, answer: ChatAnswer) -> AsyncGenerator[LlmEvent, None]:
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
            raise ProviderError(self.name, Failure.MALFORMED, "the answer is not a stream of JSON") from exc
        except (aiohttp.ClientError, OSError) as exc:
            if not answer.over:
                fail(self.name, exc)
        if not (reader.done or answer.over):
            raise ProviderError(self.name, Failure.DROPPED, "the answer ended in the middle")
        for event in answer.ended():
            yield event


async def _next(response: ClientResponse, answer: ChatAnswer) -> bytes:
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
    try:
        async with asyncio.timeout(REFUSAL_S):
            return orjson.loads(await response.content.read(64 * 1024))
    except (aiohttp.ClientError, OSError, ValueError):
        return None
