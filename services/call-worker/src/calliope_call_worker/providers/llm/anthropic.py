"""Anthropic's messages API, as a plain aiohttp client for the reason given in `openai.py`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import ClientSession

from calliope_call_worker.providers.llm.anthropic_answer import MessagesAnswer, refusal
from calliope_call_worker.providers.llm.anthropic_body import messages_body
from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.streaming import Endpoint, HttpModel

NAME: Final = "anthropic"
API_VERSION: Final = "2023-06-01"  # the newer 2026-10-21 refuses temperature for every model, also where it acts


class Anthropic(HttpModel):
    """See `LanguageModel`."""

    def __init__(self, session: ClientSession, *, url: str, model: str, api_key: str) -> None:
        headers = {"x-api-key": api_key, "anthropic-version": API_VERSION}
        super().__init__(session, Endpoint(NAME, url.rstrip("/") + "/v1/messages", refusal, headers), model)

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        body = messages_body(request, self._model)
        return self._ask(body, MessagesAnswer(NAME))
