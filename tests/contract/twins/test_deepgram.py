"""The vendor's own SDK drives the recognisers' twins, so that they cannot drift towards our client."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.hearing import HearingSandbox, a_hearing_sandbox, frames, voice

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK imports what its own dependencies call legacy
    from deepgram import AsyncDeepgramClient
    from deepgram.core.api_error import ApiError
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results
    from deepgram.listen.v2.types import (
        ListenV2ConfigureFailure,
        ListenV2ConfigureSuccess,
        ListenV2Connected,
        ListenV2FatalError,
        ListenV2TurnInfo,
    )
    from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")  # the SDK's, not ours
AUDIO: dict[str, Any] = {"encoding": "mulaw", "sample_rate": 8_000}
FLUX: dict[str, Any] = {**AUDIO, "model": "flux-general-en"}


@pytest.fixture
async def twin() -> AsyncIterator[HearingSandbox]:
    async with a_hearing_sandbox() as sandbox:
        yield sandbox


def a_client(twin: HearingSandbox, key: str = "good") -> AsyncDeepgramClient:
    here = DeepgramClientEnvironment(base="http://127.0.0.1:1", production=twin.url, agent="", agent_rest="")
    return AsyncDeepgramClient(api_key=key, environment=here)


async def say(socket: Any, text: str) -> None:
    for frame in frames(voice(text)):
        await socket.send_media(frame)


async def until_turn_is(socket: Any, event: str) -> list[ListenV2TurnInfo]:
    """TurnInfo messages up to this event."""
    turns: list[ListenV2TurnInfo] = []
    while not turns or turns[-1].event != event:
        message = await asyncio.wait_for(socket.recv(), 5)
        assert isinstance(message, ListenV2TurnInfo), message
        turns.append(message)
    return turns


async def test_v1_hears_and_says_goodbye(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v1.connect(
        model="nova-3", interim_results=True, endpointing=300, punctuate=True, keyterm=["Calliope"], **AUDIO
    ) as socket:
        await say(socket, "Hello there.")
        await socket.send_keep_alive()
        await socket.send_close_stream()
        messages = [message async for message in socket]
    finals = [m for m in messages if isinstance(m, ListenV1Results) and m.is_final and m.speech_final]
    assert [final.channel.alternatives[0].transcript for final in finals] == ["Hello there."]
    assert isinstance(messages[-1], ListenV1Metadata)


async def test_v1_answers_finalize(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v1.connect(model="nova-2", endpointing=1_000, **AUDIO) as socket:
        for frame in frames(voice("Hello")[: 8 * 400]):
            await socket.send_media(frame)
        await socket.send_finalize()
        message = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(message, ListenV1Results)
    assert message.from_finalize


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_wrong_key_is_refused(twin: HearingSandbox, version: str) -> None:
    listen = getattr(a_client(twin, "bad").listen, version)
    with pytest.raises(ApiError) as caught:
        async with listen.connect(**AUDIO, model="nova-3" if version == "v1" else "flux-general-en"):
            pass
    assert caught.value.status_code == 401


async def test_v2_tells_a_turn_from_its_start_to_its_end(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX, eager_eot_threshold=0.4, keyterm=["Calliope"]) as socket:
        connected = await asyncio.wait_for(socket.recv(), 5)
        assert isinstance(connected, ListenV2Connected)
        await say(socket, "Hello there.")
        turns = await until_turn_is(socket, "EndOfTurn")
        await say(socket, "Goodbye.")
        following = await until_turn_is(socket, "EndOfTurn")
    assert [turns[0].event, turns[-2].event] == ["StartOfTurn", "EagerEndOfTurn"]
    assert (turns[-1].transcript, turns[-2].transcript) == ("Hello there.", "Hello there.")
    assert (turns[-1].trigger, turns[-2].trigger) == ("model", None)
    assert turns[-1].end_of_turn_confidence >= 0.7
    numbers = [connected.sequence_id, *(turn.sequence_id for turn in [*turns, *following])]
    assert numbers == list(range(len(numbers)))
    assert [turns[-1].turn_index, following[0].turn_index, following[-1].transcript] == [0, 1, "Goodbye."]


async def test_v2_takes_an_eager_end_back_when_the_caller_goes_on(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX, eager_eot_threshold=0.3, eot_threshold=0.9) as socket:
        await asyncio.wait_for(socket.recv(), 5)
        await say(socket, "I need   a table")  # three blanks are 120 ms: some confidence, not enough
        events = [turn.event for turn in await until_turn_is(socket, "EndOfTurn")]
    told = [event for event in events if event != "Update"]
    assert told == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]


async def test_v2_ends_a_turn_on_demand_and_by_its_timeout(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX, eot_threshold=1.0, eot_timeout_ms=500) as socket:
        await asyncio.wait_for(socket.recv(), 5)
        await say(socket, "Hello")
        assert (await until_turn_is(socket, "EndOfTurn"))[-1].trigger == "timeout"
        for frame in frames(voice("Hello again")[: 8 * 700]):
            await socket.send_media(frame)
        await socket.send_force_end_turn()
        assert (await until_turn_is(socket, "EndOfTurn"))[-1].trigger == "manual"


async def test_v2_is_configured_while_it_runs_all_or_nothing(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX) as socket:
        await asyncio.wait_for(socket.recv(), 5)
        await socket.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 0.9}, "keyterms": ["acme"]})
        done = await asyncio.wait_for(socket.recv(), 5)
        await socket.send_configure({"type": "Configure", "thresholds": {"eager_eot_threshold": 0.95}})
        refused = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(done, ListenV2ConfigureSuccess)
    assert (done.thresholds.eot_threshold, done.keyterms) == (0.9, ["acme"])
    assert isinstance(refused, ListenV2ConfigureFailure)


async def test_v2_closes_without_a_status_and_without_the_end_of_a_turn(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX) as socket:
        await asyncio.wait_for(socket.recv(), 5)
        for frame in frames(voice("Hello there")[: 8 * 300]):
            await socket.send_media(frame)
        await socket.send_close_stream()
        turns = await until_turn_is(socket, "Update")
        with pytest.raises(ConnectionClosed):
            turns += await until_turn_is(socket, "EndOfTurn")
        assert socket._websocket.close_code == 1005
    assert turns[-1].transcript == "Hello"


async def test_v2_knows_no_keep_alive(twin: HearingSandbox) -> None:
    async with a_client(twin).listen.v2.connect(**FLUX) as socket:
        await asyncio.wait_for(socket.recv(), 5)
        await socket._send({"type": "KeepAlive"})
        assert isinstance(await asyncio.wait_for(socket.recv(), 5), ListenV2FatalError)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "nova-3"},
        {"eot_threshold": 0.4},
        {"eager_eot_threshold": 0.8, "eot_threshold": 0.7},
        {"eot_timeout_ms": 100},
        {"language_hint": ["es"]},
    ],
)
async def test_v2_refuses_what_it_does_not_know(twin: HearingSandbox, wrong: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        async with a_client(twin).listen.v2.connect(**{**FLUX, **wrong}):
            pass
    assert caught.value.status_code == 400
