"""Custom servers that are told about the call: a request of its own shape, an answer as in chat completions.

`POST base_url` with `{messages, phoneNumber: {number}, call: {phoneCallProviderId, customer: {number}}, tools?}`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import orjson
from aiohttp import ClientSession

from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.base import CallFacts, LlmEvent, LlmRequest
from calliope_call_worker.providers.llm.chat_answer import ChatAnswer, refusal
from calliope_call_worker.providers.llm.chat_body import chat_messages, chat_tools
from calliope_call_worker.providers.llm.connections import ModelConnections
from calliope_call_worker.providers.llm.omissions import Omissions
from calliope_call_worker.providers.llm.probe import check_address
from calliope_call_worker.providers.llm.streaming import Endpoint, HttpModel
from calliope_call_worker.providers.probe import Findings

NAME: Final = quirks.CUSTOM.name


class CallShapedChat(HttpModel):
    """See `LanguageModel`. The server chooses its model itself; its name is known to whoever wrote the document."""

    def __init__(
        self,
        session: ClientSession,
        facts: CallFacts,
        *,
        url: str,
        model: str,
        api_key: str,
        omissions: Omissions | None = None,
        connections: ModelConnections | None = None,
    ) -> None:
        self._facts: dict[str, Any] = {
            "phoneNumber": {"number": facts.assistant_number},
            "call": {"phoneCallProviderId": facts.carrier_call_id, "customer": {"number": facts.caller_number}},
        }
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        super().__init__(session, Endpoint(NAME, url, refusal, headers), model, omissions, connections)

    def stream(self, request: LlmRequest) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """See `LanguageModel`."""
        body = {"messages": chat_messages(request, quirks.CUSTOM), **self._facts}
        if request.tools:
            body["tools"] = chat_tools(request)
        return self._ask(orjson.dumps(body), ChatAnswer(NAME))

    async def check(self) -> Findings:
        """See `VendorProbe`."""
        return await check_address(self._session, self._endpoint)
