"""Media of a carrier in any order: what overtakes `start` waits for it, for as long as a stream may take to start."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient, TestServer

from calliope.contracts.calls import Direction
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker import media as media_module
from calliope_call_worker.media import EARLY_BYTES, POLICY_VIOLATION, CarrierGoneError, MediaEndpoint, MediaSocket
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.telephony.base import (
    Carrier,
    CarrierAccount,
    MediaDtmf,
    MediaEvent,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.settings import MediaSettings
from support.waiting import until

FRAME, TOKEN = 160, "t0"
SPEC = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}})
CARRIERS = pytest.mark.parametrize("carrier", [Twilio(), Telnyx()], ids=lambda carrier: carrier.name)


class Waiting:
    """A call that takes what comes until the stream stops, and leaves the line then."""

    def __init__(self, carrier: Carrier) -> None:
        self.plan = CallPlan(
            call_id="call_1",
            organization_id="org_1",
            assistant_id="asst_1",
            assistant_revision=1,
            spec=SPEC,
            direction=Direction.INBOUND,
            from_number="+15550100177",
            to_number="+15550100170",
            carrier=carrier,
            account=CarrierAccount("AC1", "secret"),
            carrier_call_id="c1",
            token=TOKEN,
            began=datetime(2026, 1, 31, tzinfo=UTC),
            time_zone="UTC",
        )
        self.heard: list[MediaEvent] = []
        self._media: MediaSocket | None = None

    def attach(self, socket: MediaSocket, started: MediaStarted) -> bool:
        self._media = socket
        return True

    async def released(self) -> None:
        assert self._media is not None
        while (event := await self._media.receive()) is not None:
            self.heard.append(event)
            if isinstance(event, MediaStopped):
                return


@asynccontextmanager
async def streaming(call: Waiting) -> AsyncIterator[ClientWebSocketResponse]:
    """A carrier's socket to this call, as its answer named it."""
    app = web.Application()
    settings = MediaSettings(require_signature=False)
    app.router.add_routes(MediaEndpoint(settings, lambda _: call, lambda: "ws://worker/media").routes())
    name = call.plan.carrier.name
    path = f"/media/{name}/call_1" + ("" if name == "twilio" else f"/{TOKEN}")
    async with asyncio.timeout(10), TestClient(TestServer(app)) as client, client.ws_connect(path) as socket:
        yield socket


def message(event: str, **more: Any) -> str:
    return orjson.dumps({"event": event, "streamSid": "MZ1", "stream_id": "MZ1", **more}).decode()


def frame(number: int) -> str:
    payload = base64.b64encode(bytes([number % 256]) * FRAME).decode()
    return message("media", media={"track": "inbound", "chunk": str(number), "payload": payload})


def start(token: str = TOKEN) -> str:
    """As either carrier says it."""
    twilio = {"streamSid": "MZ1", "callSid": "c1", "customParameters": {"token": token}}
    twilio["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    telnyx = {"call_control_id": "c1", "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}}
    return message("start", start=twilio | telnyx)


async def heard(carrier: Carrier, messages: Sequence[str]) -> list[MediaEvent]:
    """What a call hears of a stream that says this; the worker closes the socket after its `stop`."""
    call = Waiting(carrier)
    async with streaming(call) as socket:
        for text in messages:
            await socket.send_str(text)
        await socket.receive()
        assert socket.close_code == 1000
    return call.heard


def audio(events: Sequence[MediaEvent]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, MediaFrame))


@CARRIERS
async def test_audio_that_overtakes_start_is_heard_first(carrier: Carrier) -> None:
    events = await heard(carrier, [message("connected"), frame(1), frame(2), start(), frame(3), message("stop")])
    assert audio(events) == b"".join(bytes([number]) * FRAME for number in (1, 2, 3))
    assert isinstance(events[-1], MediaStopped)


@CARRIERS
@pytest.mark.parametrize(
    ("early", "event"),
    [
        (message("dtmf", dtmf={"digit": "7"}), MediaDtmf("7")),
        (message("mark", mark={"name": "m1"}), MediaMark("m1")),
        (message("stop"), MediaStopped()),
    ],
    ids=["key", "mark", "stop"],
)
async def test_whatever_else_overtakes_start_waits_for_it_too(carrier: Carrier, early: str, event: MediaEvent) -> None:
    events = await heard(carrier, [early, message("a new one"), "not even JSON", start(), message("stop")])
    assert events[0] == event


@CARRIERS
async def test_of_much_early_audio_the_newest_is_kept(carrier: Carrier) -> None:
    kept = EARLY_BYTES // FRAME
    early = [frame(number) for number in range(1, kept + 101)]
    events = await heard(carrier, [*early, start(), message("stop")])
    assert (len(audio(events)), audio(events)[0]) == (EARLY_BYTES, 101)


async def test_early_audio_opens_no_line_to_a_stranger() -> None:
    call = Waiting(Twilio())
    async with streaming(call) as socket:
        for text in (frame(1), start("guessed")):
            await socket.send_str(text)
        await socket.receive()
        assert socket.close_code == POLICY_VIOLATION
    assert call.heard == []


@CARRIERS
async def test_a_stream_that_talks_and_never_starts_is_closed_in_time(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_module, "START_S", 0.2)
    call = Waiting(carrier)
    async with streaming(call) as socket, asyncio.TaskGroup() as tasks:
        talk = tasks.create_task(_talk(socket, frame), name="carrier.talk")
        await socket.receive()
        talk.cancel()
        assert socket.close_code == POLICY_VIOLATION
    assert call.heard == []


async def _talk(socket: ClientWebSocketResponse, say: Callable[[int], str]) -> None:
    for number in range(10_000):
        if socket.closed:
            return
        await socket.send_str(say(number))
        await asyncio.sleep(0)


class Speaking(Waiting):
    """A call that speaks far more than a carrier takes that does not read."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier)
        self.lost = ""

    async def released(self) -> None:
        assert self._media is not None
        async with asyncio.TaskGroup() as tasks:
            speech = tasks.create_task(self._speak(self._media), name="call.speak")
            try:
                await self._media.drain()
            except CarrierGoneError as exc:
                self.lost = str(exc)
            speech.cancel()
        self._media.abort()
        while await self._media.receive() is not None:
            pass

    async def _speak(self, media: MediaSocket) -> None:
        while True:
            media.send_audio(bytes(1_600))
            await asyncio.sleep(0)


@CARRIERS
async def test_a_carrier_that_sends_and_reads_no_more_is_noticed_and_given_up(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_module, "SEND_S", 0.2)
    call = Speaking(carrier)
    async with streaming(call) as socket:
        await socket.send_str(start())
        transport: Any = socket._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()
        await until(lambda: call.lost)
        transport.abort()
    assert call.lost in {"the carrier does not take our audio", "writing to the carrier failed: TimeoutError"}
