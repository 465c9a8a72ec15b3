"""Twilio over REST: a live call is changed, and one that is over is no error."""

import asyncio
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount
from calliope_call_worker.providers.telephony.twilio import TwilioApi
from support.vendor_fakes import serving

ACCOUNT = CarrierAccount("AC1", "token")
AFTER = "https://voice.example.test/telephony/twilio/resume/call_1"
CALL = "/2010-04-01/Accounts/AC1/Calls/CA1.json"


async def asked(status: int, answer: dict[str, object]) -> tuple[str, dict[str, str]]:
    """Where and with which form Twilio, which answers so, is told to ask again."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, dict(parse_qsl(await request.text()))))
        return web.json_response(answer, status=status)

    async with serving("/{path:.*}", answering) as (session, url), asyncio.timeout(5):
        await TwilioApi(session, url).ask_again(ACCOUNT, "CA1", after_url=AFTER, key="loss 1")
    return seen[0]


async def test_to_be_asked_again_the_call_is_redirected() -> None:
    assert await asked(200, {"sid": "CA1"}) == (CALL, {"Url": AFTER, "Method": "POST"})


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)])
async def test_a_call_that_is_over_needs_no_asking(status: int, code: int) -> None:
    assert (await asked(status, {"code": code}))[0] == CALL


async def test_another_answer_is_an_error() -> None:
    with pytest.raises(ProviderError) as caught:
        await asked(401, {"code": 20003, "message": "Authenticate"})
    assert caught.value.failure is Failure.KEY
