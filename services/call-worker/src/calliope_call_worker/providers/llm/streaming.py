"""A model behind an HTTP address, of any vendor: asked, read event by event, and ended so that nothing stays open."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

import aiohttp
import orjson
import structlog
from aiohttp import ClientResponse, ClientSession

from calliope.bodies import BodyError, read_body
from calliope_call_worker.providers.errors import EndlessAnswerError, Failure, ProviderError
from calliope_call_worker.providers.llm.base import LlmEvent, TextDelta, ToolCall
from calliope_call_worker.providers.llm.connections import ModelConnections
from calliope_call_worker.providers.llm.lenient import Characters, read_json, whole_characters
from calliope_call_worker.providers.llm.omissions import (
    Omissions,
    Path,
    demanded_option,
    is_lasting,
    refused_option,
    without_options,
)
from calliope_call_worker.providers.llm.pace import EndlessBodyError, PacedBody
from calliope_call_worker.providers.llm.refusals import read_refusal
from calliope_call_worker.providers.llm.sse import SseError, SseReader
from calliope_call_worker.providers.wire import fail, retry_after_s

log = structlog.get_logger(__name__)

MAX_OMISSIONS: Final = 9  # more than the parameters that a request has and can do without
TAIL_S: Final = 0.3  # after the model stopped, how long usage may still be on its way
REFUSAL_S: Final = 1.0
MAX_BODY_BYTES: Final = 512 * 1024
AT_ONCE: Final = 8
"""Events handled in one step of the loop."""
MAX_REFUSAL_BYTES: Final = 64 * 1024
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


def model_url(root: str, model: str) -> str:
    """Where a vendor's API describes a model: every one of them has it at the same place below its root."""
    return f"{root}/models/{quote(model, safe='')}"


class HttpModel:
    """What every vendor's model behind one HTTP address has in common; see `LanguageModel`."""

    def __init__(
        self,
        session: ClientSession,
        endpoint: Endpoint,
        model: str,
        omissions: Omissions | None = None,
        connections: ModelConnections | None = None,
    ) -> None:
        self._omissions = omissions or Omissions()
        self._connections = connections or ModelConnections()
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
        """See `LanguageModel`."""
        await self._connections.open_spare(self._session, self._endpoint.url, self.name)

    @asynccontextmanager
    async def _ask(self, body: bytes, answer: Answer) -> AsyncIterator[AsyncIterator[LlmEvent]]:
        """The events of one answer; leaving the block aborts it. Raises: ProviderError, here or while iterating."""
        response = await self._answering(body)
        begun = failed = False
        try:
            try:
                paced = PacedBody(response, self._session)
            except BodyError as exc:
                raise ProviderError(self.name, Failure.MALFORMED, f"the answer {exc}") from exc
            try:
                async with aclosing(_events(self.name, response, paced, answer)) as events:
                    yield events
            finally:
                begun = paced.received > 0
        except ProviderError:
            failed = True
            raise
        finally:
            self._connections.leave(response, begun=begun and not failed)

    async def _answering(self, body: bytes) -> ClientResponse:
        """A response that is an answer. What the server refuses by name is left out, and it is asked again at once.

        Raises: ProviderError.
        """
        url, model = self._endpoint.url, self._model
        left_out, demanded = self._omissions.known(url, model), frozenset[Path]()
        for _ in range(MAX_OMISSIONS):
            sent = orjson.dumps(without_options(orjson.loads(body), left_out)) if left_out else body
            response = await self._post(sent)
            if response.status == 200:
                return response
            try:
                said, wait_s = await _refused(response, self._session), retry_after_s(response.headers)
            finally:
                self._connections.leave(response, begun=True)
            error = self._endpoint.refusal(self.name, response.status, said, wait_s)
            told = read_refusal(said)
            missed = demanded_option(told.parameter, told.words, left_out)
            if missed is not None:
                left_out, demanded = left_out - {missed}, demanded | {missed}
                self._omissions.unlearn(url, model, missed)
                continue
            option = refused_option(error, told.parameter, told.words, orjson.loads(sent))
            if option is None or option in demanded:
                raise error
            left_out |= {option}
            if is_lasting(told.codes, told.words):
                self._omissions.learn(url, model, option)
                log.warning("model.option_left_out", provider=self.name, model=model, option=".".join(option))
        raise error

    async def _post(self, body: bytes) -> ClientResponse:
        try:
            return await self._session.post(
                self._endpoint.url,
                data=body,
                headers={**_HEADERS, **self._endpoint.headers},
                timeout=_TIMEOUT,
                allow_redirects=False,
                trace_request_ctx=self._connections.use(self._session, self._endpoint.url, self.name),
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            fail(self.name, exc)


async def _events(
    provider: str, response: ClientResponse, body: PacedBody, answer: Answer
) -> AsyncGenerator[LlmEvent, None]:
    reader, characters = SseReader(), Characters()
    whole = response.content_type == "application/json"  # a server that does not stream
    try:
        while not reader.done:
            data = await (_body(body) if whole else _next(body, answer))
            values = [read_json(data)] if whole else reader.feed(data) if data else reader.finish()
            for number, value in enumerate(values, 1):
                event = answer.read(value)
                if isinstance(event, TextDelta):
                    event = TextDelta(characters.feed(event.text))
                if event is not None:
                    yield event
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)  # many came in one slice: others go on in between
            if whole or not data:
                break
    except EndlessBodyError as exc:
        raise EndlessAnswerError(provider, f"the answer {exc}") from exc
    except BodyError as exc:
        if not answer.over:
            raise ProviderError(provider, Failure.MALFORMED, f"the answer {exc}") from exc
    except (SseError, ValueError) as exc:
        raise ProviderError(provider, Failure.MALFORMED, "the answer is not a stream of JSON") from exc
    except (aiohttp.ClientError, OSError) as exc:
        if not answer.over:
            fail(provider, exc)
    if not (reader.done or answer.over):
        raise ProviderError(provider, Failure.DROPPED, "the answer ended in the middle")
    for event in answer.ended():
        yield _whole(event) if isinstance(event, ToolCall) else event


def _whole(call: ToolCall) -> ToolCall:
    id_, name, arguments = map(whole_characters, (call.id, call.name, call.arguments))
    return ToolCall(id_, name, arguments, call.opaque)


async def _next(body: PacedBody, answer: Answer) -> bytes:
    """More of the stream, empty at its end; after the model stopped it is waited for only for a moment."""
    if not answer.over:
        return await body.more()
    try:
        async with asyncio.timeout(TAIL_S):
            return await body.more()
    except TimeoutError:
        return b""


async def _body(body: PacedBody) -> bytes:
    parts = list[bytes]()
    while part := await body.more():
        parts.append(part)
        if body.received > MAX_BODY_BYTES:
            raise EndlessBodyError(f"is larger than {MAX_BODY_BYTES // 1024} KB and was cut")
    return b"".join(parts)


async def _refused(response: ClientResponse, session: ClientSession) -> Any:
    """What it says: JSON, or a plain text. A page for a browser says nothing."""
    try:
        async with asyncio.timeout(REFUSAL_S):
            body = (await read_body(response, session, keep=MAX_REFUSAL_BYTES)).data
    except (aiohttp.ClientError, OSError, BodyError):
        return None
    try:
        return read_json(body)
    except ValueError:
        text = body.decode(errors="replace").strip()
        return None if not text or text.startswith("<") else text
