"""Gemini's own API (`streamGenerateContent`), as a plain aiohttp client for the reason given in `openai.py`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from aiohttp import ClientSession

from calliope_call_worker.providers.llm.base import LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.gemini_answer import ContentAnswer, refusal
from calliope_call_worker.providers.llm.gemini_body import content_body
from calliope_call_worker.providers.llm.streaming import Endpoint, streamed

NAME: Final = "gemini"


class Gemini:
    """See `LanguageModel`."""

    def __init__(self, session: ClientSession, *, url: str, model: str, api_key: str) -> None:
        self._session = session
        self._model = model.removeprefix("models/")
        # without alt=sse one JSON array streams, which cannot be read event by event
        address = f"{url.rstrip('/')}/models/{quote(self._model, safe='')}:streamGenerateContent?alt=sse"
        self._endpoint = Endpoint(NAME, address, refusal, {"x-goog-api-key": api_key})

    @property
    def name(self) -> str:
        """See `LanguageModel`."""
        return NAME

    @property
    def model(self) -> str:
        """See `LanguageModel`."""
        return self._model

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        return streamed(self._session, self._endpoint, content_body(request, self._model), ContentAnswer(NAME))
