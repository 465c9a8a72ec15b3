"""A model's server that packs its stream although it was asked not to: the answer is read all the same."""

import gzip
import zlib
from typing import Any

import pytest
from aiohttp import web

from calliope import egress
from calliope.settings import EgressSettings
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm import quirks
from calliope_call_worker.providers.llm.base import LlmRequest, UserMessage
from calliope_call_worker.providers.llm.openai import OpenAiChat
from support.model_vendors import answer_of, text_of
from support.vendor_fakes import serving

LOOSE = EgressSettings.model_validate({"allow": ["127.0.0.0/8"], "allow_http": True})
STREAM = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "We open "}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {"content": "at nine."}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
WHOLE = b'{"choices": [{"index": 0, "message": {"content": "We open at nine."}, "finish_reason": "stop"}]}'
ASKED = LlmRequest("Be brief.", (UserMessage("When do you open?"),))


async def said(body: bytes, content_type: str, encoding: str, *, status: int = 200) -> str:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        return web.Response(status=status, body=body, headers=headers)

    async with serving("/v1/chat/completions", answer) as (_, url), egress.session(LOOSE, total_s=5) as guarded:
        model = OpenAiChat(guarded, quirks.CUSTOM, url=f"{url}/v1", model="m", api_key=None)
        return text_of(await answer_of(model, ASKED))


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize(("body", "kind"), [(STREAM, "text/event-stream"), (WHOLE, "application/json")])
async def test_a_packed_answer_of_a_model_is_read(encoding: str, pack: Any, body: bytes, kind: str) -> None:
    assert await said(pack(body), kind, encoding) == "We open at nine."


async def test_a_packed_answer_that_cannot_be_unpacked_is_malformed() -> None:
    with pytest.raises(ProviderError) as caught:
        await said(STREAM, "text/event-stream", "br")
    assert (caught.value.failure, caught.value.detail) == (
        Failure.MALFORMED,
        "the answer is packed as br, which was not asked for and cannot be unpacked",
    )


async def test_a_packed_refusal_is_read_for_what_it_says() -> None:
    words = b'{"error": {"message": "no credit is left", "type": "insufficient_quota", "code": "insufficient_quota"}}'
    with pytest.raises(ProviderError) as caught:
        await said(gzip.compress(words), "application/json", "gzip", status=429)
    assert caught.value.failure is Failure.QUOTA
