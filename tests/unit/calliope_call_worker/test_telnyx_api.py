"""Telnyx over REST: one command is one effect, however often it is sent; a call that is over is no error."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount, TransferRequest
from calliope_call_worker.providers.telephony.telnyx_api import SETTLE_S, TelnyxApi, command, settles_in_s, state
from support.vendor_fakes import serving

ACCOUNT = CarrierAccount("1234567890", "KEY1", None)
AFTER = "https://voice.example.test/telephony/telnyx/resume/call_1"
OK: dict[str, Any] = {"data": {"result": "ok"}}


def refusal(code: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "no", "detail": "no"}]}


class FakeTelnyx:
    """Gives these answers in order, the last one again and again, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        assert request.headers["Authorization"] == "Bearer KEY1"
        body = await request.json() if request.can_read_body else {}
        self.asked.append((request.method, request.raw_path, body))
        status, answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.json_response(answer, status=status)

    @property
    def bodies(self) -> Sequence[dict[str, Any]]:
        """Of the requests."""
        return [body for _, _, body in self.asked]


async def transfers(api: TelnyxApi, key: str, *, caller_id: str | None = None) -> None:
    await api.transfer(ACCOUNT, TransferRequest("v3:a", "+1", AFTER, caller_id, key))


async def asks_again(api: TelnyxApi, key: str) -> None:
    await api.ask_again(ACCOUNT, "v3:a", after_url=AFTER, key=key)


async def hangs_up(api: TelnyxApi, key: str) -> None:
    await api.hang_up(ACCOUNT, "v3:a")


async def test_a_command_is_sent_to_the_leg_with_its_id() -> None:
    telnyx = FakeTelnyx((200, OK))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        await TelnyxApi(session, url).perform(ACCOUNT, "v3:a/b", command("answer", {"x": 1}, "token"))
    assert telnyx.asked[0][:2] == ("POST", "/calls/v3:a%2Fb/actions/answer")
    assert telnyx.bodies == [{"x": 1, "command_id": command("answer", {}, "token").command_id}]


@pytest.mark.parametrize("trouble", [500, 503, 429])
async def test_a_command_that_was_not_taken_is_sent_again_as_it_was(trouble: int) -> None:
    telnyx = FakeTelnyx((trouble, {}), (200, OK))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        await transfers(TelnyxApi(session, url), "tool_1")
    first, second = telnyx.bodies
    assert first == second
    assert (first["to"], first["timeout_secs"]) == ("+1", 30)
    assert first["target_leg_client_state"] == state(call_id="call_1", transfer_of="v3:a")


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("command", "commands"),
    [(transfers, 2), (asks_again, 2), (hangs_up, 1)],
    ids=["a second transfer is another command", "so is a second loss", "a call is put down once"],
)
async def test_a_command_that_another_worker_repeats_is_known_by_its_id(
    command: Callable[[TelnyxApi, str], Awaitable[None]], commands: int
) -> None:
    telnyx = FakeTelnyx((200, OK))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        for key in ("one", "one", "two"):
            await command(TelnyxApi(session, url), key)
    ids = [body["command_id"] for body in telnyx.bodies]
    assert (ids[0] == ids[1], len(set(ids))) == (True, commands)


@pytest.mark.parametrize(("shown", "sent"), [(None, {}), ("+15550100170", {"from": "+15550100170"})])
async def test_who_is_shown_is_said_where_it_is_not_the_carriers_choice(
    shown: str | None, sent: dict[str, str]
) -> None:
    telnyx = FakeTelnyx((200, OK))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        await transfers(TelnyxApi(session, url), "tool_1", caller_id=shown)
    assert {name: value for name, value in telnyx.bodies[0].items() if name == "from"} == sent


@pytest.mark.parametrize(("status", "code"), [(422, "90018"), (422, "90015"), (404, "10005")])
async def test_a_call_that_is_over_needs_no_hanging_up(status: int, code: str) -> None:
    telnyx = FakeTelnyx((status, refusal(code)))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        await TelnyxApi(session, url).hang_up(ACCOUNT, "v3:a")
    assert len(telnyx.asked) == 1


@pytest.mark.parametrize(
    ("status", "answer", "done"),
    [(200, OK, True), (422, refusal("90018"), False), (422, refusal("90015"), True), (404, refusal("10005"), True)],
    ids=["done", "over", "unknown", "not found"],
)
async def test_only_a_call_that_telnyx_says_is_over_is_over(status: int, answer: dict[str, Any], done: bool) -> None:
    """One that it does not know may be another account's: that is no end, and its media says so."""
    telnyx = FakeTelnyx((status, answer))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        assert await TelnyxApi(session, url).perform(ACCOUNT, "v3:a", command("answer", {}, "token")) is done


@pytest.mark.parametrize(
    ("status", "code", "failure", "tries"),
    [
        (401, "10009", Failure.KEY, 1),
        (422, "10004", Failure.REFUSED, 1),
        (429, "10011", Failure.RATE_LIMITED, 2),
        (500, "10007", Failure.ERROR, 2),
    ],
)
async def test_what_telnyx_refuses_has_its_words_and_is_not_tried_for_ever(
    status: int, code: str, failure: Failure, tries: int
) -> None:
    telnyx = FakeTelnyx((status, refusal(code)))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        with pytest.raises(ProviderError, match=code) as refused:
            await TelnyxApi(session, url).hang_up(ACCOUNT, "v3:a")
    assert (refused.value.failure, len(telnyx.asked)) == (failure, tries)


async def test_a_silent_telnyx_is_not_waited_for() -> None:
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serving("/{path:.*}", answer) as (session, url), asyncio.timeout(5):
        with pytest.raises(ProviderError, match="too long") as refused:
            await TelnyxApi(session, url, deadline_s=0.05).hang_up(ACCOUNT, "v3:a")
        never.set()
    assert refused.value.failure is Failure.DEADLINE


@pytest.mark.parametrize(
    ("status", "answer", "up"),
    [
        (200, {"data": {"is_alive": True}}, True),
        (200, {"data": {"is_alive": False}}, False),
        (200, {}, False),
        (404, refusal("10005"), False),
    ],
)
async def test_whether_a_call_outlived_its_media_is_asked(status: int, answer: dict[str, Any], up: bool) -> None:
    telnyx = FakeTelnyx((status, answer))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        assert await TelnyxApi(session, url).still_up(ACCOUNT, "v3:a", None) is up
    assert telnyx.asked[0][:2] == ("GET", "/calls/v3:a")


@pytest.mark.parametrize(
    ("ended_s_ago", "left_s"), [(0.0, SETTLE_S), (0.1, SETTLE_S - 0.1), (SETTLE_S, 0.0), (9.0, 0.0), (-3.0, SETTLE_S)]
)
def test_a_caller_does_not_wait_again_for_what_has_passed_since_the_media_ended(
    ended_s_ago: float, left_s: float
) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert settles_in_s(now - timedelta(seconds=ended_s_ago), now) == pytest.approx(left_s)


async def test_to_be_asked_again_the_stream_is_stopped() -> None:
    telnyx = FakeTelnyx((200, OK))
    async with serving("/{path:.*}", telnyx.answer) as (session, url), asyncio.timeout(5):
        await TelnyxApi(session, url).ask_again(ACCOUNT, "v3:a", after_url=AFTER, key="loss 1")
    assert telnyx.asked[0][:2] == ("POST", "/calls/v3:a/actions/streaming_stop")
