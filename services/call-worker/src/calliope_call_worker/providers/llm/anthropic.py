"""Anthropic's messages API, as a plain aiohttp client for the reason given in `openai.py`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import ClientSession

from calliope_call_worker.providers.llm.anthropic_answer import MessagesAnswer, refusal
from calliope_call_worker.providers.llm.anthropic_body import messages_body
from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.connections import ModelConnections
from calliope_call_worker.providers.llm.omissions import Omissions
from calliope_call_worker.providers.llm.probe import check_model
from calliope_call_worker.providers.llm.streaming import Endpoint, HttpModel, model_url
from calliope_call_worker.providers.probe import Findings

NAME: Final = "anthropic"
API_VERSION: Final = "2023-06-01"  # the newer 2026-10-21 refuses temperature for every model, also where it acts


class Anthropic(HttpModel):
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
        headers = {"x-api-key": api_key, "anthropic-version": API_VERSION}
        root = url.rstrip("/") + "/v1"
        endpoint = Endpoint(NAME, f"{root}/messages", refusal, headers, model_url(root, model))
        super().__init__(session, endpoint, model, omissions, connections)

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        body = messages_body(request, self._model)
        return self._ask(body, MessagesAnswer(NAME))

    async def check(self) -> Findings:
        """See `VendorProbe`."""
        return await check_model(self, self._session, self._endpoint)
