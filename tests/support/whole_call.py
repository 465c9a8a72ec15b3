"""One whole call over in-memory twins: the test is the recogniser and the carrier, and reads the journal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from aiohttp import ClientSession

from calliope.contracts.base import Message
from calliope.contracts.calls import Direction, Stage
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.analysis import schema_check
from calliope_call_worker.analysis.checking import UnusableSchemaError
from calliope_call_worker.call import Call, CallParts
from calliope_call_worker.lines import LineCache, VoiceKey
from calliope_call_worker.media import MediaSocket
from calliope_call_worker.plan import CallPlan, Continuation
from calliope_call_worker.playback import Playback
from calliope_call_worker.ports import Journal, Recorder
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.failures import Failures
from calliope_call_worker.providers.llm.base import Finished, LanguageModel, TextDelta
from calliope_call_worker.providers.llm.breaker import Breakers
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.registry import CallProviders, stt_options
from calliope_call_worker.providers.settings import ListeningSettings, SpeakingSettings, ThinkingSettings
from calliope_call_worker.providers.stt.base import SttEvent
from calliope_call_worker.providers.stt.resilient import ResilientStt
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierApi,
    MediaEvent,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.providers.tts.resilient import ResilientTts
from calliope_call_worker.settings import MediaSettings, WorkerSettings
from calliope_call_worker.tools.http import HttpTools
from support.models import ScriptedModel, Step
from support.recognisers import TwinStt
from support.voices import TwinTts
from support.waiting import until

BEGAN: Final = datetime(2026, 1, 31, 23, 5, tzinfo=UTC)
"""When these calls begin: a Saturday, and Sunday already in Madrid."""
ANSWER: Sequence[Step] = (TextDelta("We are open. "), Finished("stop"))


async def checked_here(schema: Any, value: Any) -> list[str]:
    """See `Check`. In this process, for schemas that are known to do no harm."""
    found = schema_check.check(schema, value, formats=False)
    if found["unusable"] is not None:
        raise UnusableSchemaError(found["unusable"])
    return list(found["problems"])


class TwinJournal:
    """See `Journal`."""

    on_lost = None

    def __init__(self, *, before: int = 0) -> None:
        """`before`: so many facts the call has from others."""
        self._before = before
        self.facts: list[Message] = []
        self.taken_over = False

    @property
    def lost(self) -> bool:
        """See `Journal`."""
        return self.taken_over

    async def look_whose(self, within_s: float) -> None:
        """See `Journal`."""

    @property
    def waiting(self) -> int:
        """See `Journal`."""
        return 0

    @property
    def sequence(self) -> int:
        """See `Journal`."""
        return self._before + len(self.facts)

    def append(self, fact: Message) -> None:
        """See `Journal`."""
        self.facts.append(fact)

    async def flush(self, timeout_s: float) -> bool:
        """See `Journal`."""
        return True


class TwinPlaybacks:
    """See `Playbacks`."""

    def __init__(self) -> None:
        self.kept: list[Playback] = []

    async def keep(self, call_id: str, owner: int, playback: Playback) -> None:
        """See `Playbacks`."""
        self.kept.append(playback)

    async def find(self, call_id: str, owners: Sequence[int]) -> Playback | None:
        """See `Playbacks`."""
        return self.kept[-1] if self.kept else None


class TwinMedia(MediaSocket):
    """See `MediaSocket`. Marks come back at once, or when the test has them played."""

    def __init__(self, *, plays_at_once: bool = True) -> None:
        self.plays_at_once = plays_at_once
        self._in: asyncio.Queue[MediaEvent | None] = asyncio.Queue()
        self.unplayed: list[str] = []
        self.cleared = 0

    def send_audio(self, payload: bytes) -> None:
        """See `MediaSocket`."""

    def send_mark(self, name: str) -> None:
        """See `MediaSocket`."""
        self.unplayed.append(name)
        if self.plays_at_once:
            self.play()

    def play(self) -> None:
        """All audio so far was heard."""
        for name in self.unplayed:
            self._in.put_nowait(MediaMark(name))
        self.unplayed.clear()

    def plays_on(self) -> None:
        """All audio so far was heard, and what is sent from now on is."""
        self.plays_at_once = True
        self.play()

    def clear(self) -> None:
        """See `MediaSocket`."""
        self.cleared += 1
        self.play()

    def speaks(self) -> None:
        """The caller's audio gets loud."""
        self._in.put_nowait(MediaFrame(b"\x00" * 640))

    def hang_up(self) -> None:
        """The caller hangs up."""
        self._in.put_nowait(MediaStopped())

    async def drain(self) -> None:
        """See `MediaSocket`."""

    async def receive(self) -> MediaEvent | None:
        """See `MediaSocket`."""
        return await self._in.get()

    def abort(self) -> None:
        """See `MediaSocket`."""
        self._in.put_nowait(None)


class TwinCarrier:
    """See `CarrierApi`."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.on_transfer: Callable[[], None] = lambda: None

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """See `CarrierApi`."""
        self.told.append("hang up")

    async def transfer(self, account: CarrierAccount, carrier_call_id: str, **_: Any) -> None:
        """See `CarrierApi`."""
        self.told.append("transfer")
        self.on_transfer()


@dataclass(slots=True)
class WholeCall:
    """A call that runs, and everything around it."""

    call: Call
    stt: TwinStt
    model: ScriptedModel
    tts: TwinTts
    media: TwinMedia
    journal: TwinJournal
    carrier: TwinCarrier
    playbacks: TwinPlaybacks
    tasks: asyncio.TaskGroup
    running: "asyncio.Task[None] | None" = field(default=None)

    def answer(self) -> None:
        """Media flows."""
        self.call.attach(self.media, MediaStarted("MZ1", "CA1", {}))

    def facts(self, kind: type[Message]) -> list[Any]:
        """Facts of one kind."""
        return [fact for fact in self.journal.facts if isinstance(fact, kind)]

    async def hears(self, *events: SttEvent) -> None:
        """The recogniser says this."""
        await until(lambda: self.stt.connections)
        self.stt.connections[-1].hears(*events)

    async def conversing(self) -> None:
        """Until the assistant and the caller can talk."""
        await until(lambda: self.stt.connections)

    async def over(self) -> None:
        """Until the call has ended."""
        if self.running is not None:
            await asyncio.wait_for(self.running, 10)


@asynccontextmanager
async def a_call(
    *,
    answers: Sequence[Step] = ANSWER,
    stt: TwinStt | None = None,
    tts: TwinTts | None = None,
    model: LanguageModel | None = None,
    media: TwinMedia | None = None,
    journal: TwinJournal | None = None,
    playbacks: TwinPlaybacks | None = None,
    recorder: Recorder | None = None,
    plays_at_once: bool = True,
    answered: bool = True,
    start_deadline_s: float = 15.0,
    continuation: Continuation | None = None,
    **document: Any,
) -> AsyncIterator[WholeCall]:
    """A call whose media flows, unless it still rings. `document` changes the assistant."""
    spec = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **document})
    stt, tts, failures = stt or TwinStt(), tts or TwinTts("twin"), Failures()
    thinking = ThinkingSettings()
    breaker = Breakers(failures_to_open=3, cool_down_s=15.0).get("model", "model-1", "k", "")
    scripted = ScriptedModel("model", answers)
    link = Link(model or scripted, breaker)
    async with asyncio.TaskGroup() as tasks, ClientSession() as session:

        def spawn(work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
            return tasks.create_task(work, name=name)

        journal, playbacks, carrier = journal or TwinJournal(), playbacks or TwinPlaybacks(), TwinCarrier()
        parts = CallParts(
            settings=WorkerSettings(media=MediaSettings(start_deadline_s=start_deadline_s)),
            journal=cast("Journal", journal),
            providers=CallProviders(
                stt=ResilientStt(stt, ListeningSettings(), failures.of(Stage.STT)),
                stt_options=stt_options(spec.stt_settings, "call_1"),
                llm=LlmChain([link], thinking, failures.of(Stage.LLM)),
                tts=ResilientTts([tts], SpeakingSettings(), failures.of(Stage.TTS)),
                voice_key=VoiceKey("org_1", "account", "twin", "v", ""),
                failures=failures,
            ),
            carrier_api=cast("CarrierApi", carrier),
            http_tools=HttpTools(session),
            check=checked_here,
            lines=LineCache(),
            spawn=spawn,
            after_url="",
            playbacks=playbacks,
            recorder=recorder,
        )
        call = Call(_a_plan(spec, continuation), parts)
        failures.listen(call.provider_failed)
        media = media or TwinMedia(plays_at_once=plays_at_once)
        running = tasks.create_task(call.run(), name="call.run")
        whole = WholeCall(call, stt, scripted, tts, media, journal, carrier, playbacks, tasks, running)
        if answered:
            whole.answer()
        try:
            yield whole
        finally:
            media.hang_up()


def a_wrong_key(provider: str) -> ProviderError:
    """As a vendor tells it."""
    return ProviderError(provider, Failure.KEY, "refused with 401 INVALID_AUTH")


def _a_plan(spec: AssistantSpec, continuation: Continuation | None) -> CallPlan:
    return CallPlan(
        call_id="call_1",
        organization_id="org_1",
        assistant_id="asst_1",
        assistant_revision=1,
        spec=spec,
        direction=Direction.INBOUND,
        from_number="+15550001",
        to_number="+15550002",
        carrier=Twilio(),
        account=CarrierAccount("AC1", "t"),
        carrier_call_id="CA1",
        token="t",
        began=BEGAN,
        time_zone=spec.time_zone or "UTC",
        continuation=continuation,
    ).with_variables()
