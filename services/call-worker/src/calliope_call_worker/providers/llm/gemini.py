"""Gemini's own API (`streamGenerateContent`), as a plain aiohttp client for the reason given in `openai.py`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import ClientSession

from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.connections import ModelConnections
from calliope_call_worker.providers.llm.gemini_answer import ContentAnswer, refusal
from calliope_call_worker.providers.llm.gemini_body import content_body
from calliope_call_worker.providers.llm.omissions import Omissions
from calliope_call_worker.providers.llm.probe import check_model
from calliope_call_worker.providers.llm.streaming import Endpoint, HttpModel, model_url
from calliope_call_worker.providers.probe import Findings

NAME: Final = "gemini"


class Gemini(HttpModel):
    """See `LanguageModel`."""

    def __init__(
        self,
        session: ClientSession,
        *,
        url: str,
        model: str,
        api_key: str,
        omissions: Omissions | None = None,
        connections: ModelConnections | None = None,
    ) -> None:
        model = model.removeprefix("models/")
        described_at = model_url(url.rstrip("/"), model)
        # without alt=sse one JSON array streams, which cannot be read event by event
        address = f"{described_at}:streamGenerateContent?alt=sse"
        endpoint = Endpoint(NAME, address, refusal, {"x-goog-api-key": api_key}, described_at)
        super().__init__(session, endpoint, model, omissions, connections)

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        return self._ask(content_body(request, self._model), ContentAnswer(NAME))

    async def check(self) -> Findings:
        """See `VendorProbe`."""
        return await check_model(self, self._session, self._endpoint)
