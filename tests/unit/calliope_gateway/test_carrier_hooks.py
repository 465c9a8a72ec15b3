"""Which worker's answer a carrier gets, when one is silent, slow or late."""

import asyncio
import re
import time

import pytest

from calliope.contracts.calls import CarrierResponse
from calliope.contracts.subjects import Command
from calliope.errors import unavailable
from calliope.observability.metrics import REGISTRY
from support.hook_workers import Workers, away, blames, dead, declines, well
from support.http_surface import gateway

AGAIN_S = 0.02


async def _rings(workers: Workers, path: str = "twilio/voice", **settings: float) -> tuple[int, str]:
    settings = {"carrier_timeout_s": 5.0, "carrier_again_s": AGAIN_S} | settings
    async with asyncio.timeout(10), gateway(workers, **settings) as client:
        answer = await client.post(f"/telephony/{path}", data=b"")
        return answer.status, await answer.text()


def ago(seconds: float) -> int:
    """Unix time in ms."""
    return round((time.time() - seconds) * 1_000)


def not_taken() -> float:
    return REGISTRY.get_sample_value("calliope_calls_not_taken_total", {"carrier": "twilio"}) or 0.0


@pytest.mark.promise("P4")
async def test_what_a_dead_worker_was_asked_another_one_is_asked_too() -> None:
    workers = Workers(dead, well)
    assert "<Connect/>" in (await _rings(workers))[1]
    assert len(workers.asked) == 2


@pytest.mark.promise("P4")
async def test_the_only_worker_is_asked_when_it_is_back() -> None:
    workers = Workers(dead, away, well)
    assert "<Connect/>" in (await _rings(workers))[1]


async def test_the_answer_of_a_slow_worker_counts_when_the_others_say_that_it_has_the_call() -> None:
    asked_again = asyncio.Event()

    async def slow() -> CarrierResponse:
        await asked_again.wait()
        return await well()

    async def not_mine() -> CarrierResponse:
        asked_again.set()
        raise unavailable("another worker has the call; its answer counts")

    assert "<Connect/>" in (await _rings(Workers(slow, not_mine)))[1]


async def test_without_any_worker_a_caller_hears_busy_after_as_long_as_the_carrier_waits() -> None:
    workers, before = Workers(away), not_taken()
    assert "busy" in (await _rings(workers, carrier_timeout_s=0.3))[1]
    assert workers.commands.count(Command.CALLS_ACCEPT) > 1
    assert workers.commands[-1] == Command.CALLS_DECLINE
    assert not_taken() == before + 1


async def test_a_call_that_a_full_worker_gave_back_is_taken_by_the_next() -> None:
    workers = Workers(away, away, well, full=declines)
    assert "<Connect/>" in (await _rings(workers))[1]
    assert Command.CALLS_DECLINE not in workers.commands


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
async def test_when_all_are_full_one_of_them_turns_the_call_away_in_its_own_words(carrier: str) -> None:
    workers = Workers(away, full=declines)
    assert await _rings(workers, f"{carrier}/voice", carrier_timeout_s=0.3) == (200, "<Response>full</Response>")
    assert workers.commands.count(Command.CALLS_DECLINE) == 1


async def test_a_carrier_that_reads_no_answers_is_told_to_ask_again_when_there_is_no_worker() -> None:
    assert (await _rings(Workers(away), "telnyx/voice", carrier_timeout_s=0.3))[0] == 503


@pytest.mark.promise("P4")
async def test_what_such_a_carrier_told_while_there_was_no_worker_is_told_to_the_first_that_comes() -> None:
    taken = asyncio.Event()

    async def comes_back() -> CarrierResponse:
        taken.set()
        return await well()

    workers = Workers(away, away, comes_back)
    async with gateway(workers, carrier_timeout_s=0.1) as client:
        told = await client.post("/telephony/telnyx/voice", data=b"the media ended")
        assert (told.status, taken.is_set()) == (503, False)
        async with asyncio.timeout(5):
            await taken.wait()
    assert {payload.body for _, payload, *_ in workers.asked} == {b"the media ended"}


async def test_a_hook_that_is_kept_does_not_keep_the_gateway() -> None:
    async with asyncio.timeout(5), gateway(Workers(away), carrier_timeout_s=0.1, resume_wait_s=60.0) as client:
        assert (await client.post("/telephony/telnyx/voice", data=b"")).status == 503


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("language=de-DE", '<Say language="de-DE">Es tut uns leid, wir haben ein technisches Problem.'),
        ("language=es-MX", '<Say language="es-MX">Lo sentimos, tenemos un problema técnico.'),
        ("", '<Say language="en-US">We are sorry, we have a technical problem.'),
        ("language=sv-SE", '<Say language="en-US">We are sorry,'),
        ("language=%22/%3E%3CDial%3E", '<Say language="en-US">We are sorry,'),
    ],
)
async def test_a_call_that_no_worker_goes_on_with_hears_the_last_resort_in_its_language(query: str, said: str) -> None:
    status, text = await _rings(Workers(away), f"twilio/resume/call_1?media_ended={ago(21)}&{query}")
    assert status == 200
    assert said in text
    assert text.endswith("</Say><Hangup/></Response>")


async def test_a_call_that_waits_for_a_worker_keeps_its_language() -> None:
    _, text = await _rings(Workers(away, full=declines), "twilio/resume/call_1?language=pt-BR", carrier_timeout_s=0.1)
    assert re.search(r"<Redirect [^>]+>call_1\?media_ended=\d{13}&amp;language=pt-BR</Redirect>", text)


async def test_after_the_last_try_a_full_worker_says_the_last_resort() -> None:
    _, text = await _rings(Workers(away, full=declines), f"twilio/resume/call_1?media_ended={ago(21)}")
    assert text == "<Response>full</Response>"


@pytest.mark.promise("P4")
@pytest.mark.parametrize("waited_s", [0, 5, 18])
async def test_a_call_that_is_asked_for_again_keeps_the_moment_at_which_its_media_ended(waited_s: int) -> None:
    workers, ended = Workers(away), ago(waited_s)
    _, text = await _rings(workers, f"twilio/resume/call_1?media_ended={ended}", carrier_timeout_s=0.1)
    assert text.endswith(f'<Pause length="1"/><Redirect method="POST">call_1?media_ended={ended}</Redirect></Response>')
    assert workers.asked[0][1].path_and_query == f"/telephony/twilio/resume/call_1?media_ended={ended}"


@pytest.mark.parametrize("moment", ["x", "-3", "%D9%A3", "1", "99999999999999", "9999999999999"])
async def test_a_call_whose_media_ended_at_no_moment_waits_from_now_on(moment: str) -> None:
    path = f"twilio/resume/call_1?media_ended={moment}"
    _, text = await _rings(Workers(away), path, carrier_timeout_s=0.1)
    found = re.search(r"call_1\?media_ended=(\d{13})<", text)
    assert found is not None
    assert ago(20) < int(found[1]) <= ago(0)


async def test_workers_that_are_all_dead_are_given_up() -> None:
    workers = Workers(dead)
    assert "busy" in (await _rings(workers, carrier_timeout_s=0.1))[1]
    assert workers.commands.count(Command.CALLS_ACCEPT) <= 6


async def test_a_hook_that_is_to_blame_is_refused_whoever_says_so() -> None:
    assert (await _rings(Workers(dead, blames)))[0] == 422
