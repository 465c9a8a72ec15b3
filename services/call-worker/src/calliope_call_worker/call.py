"""One live call: its tasks, its media, and how it ends. One call is one task group."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from calliope.contracts.calls import (
    CallAnswered,
    DtmfReceived,
    EndReason,
    HandedOver,
    ProviderFailed,
    Stage,
)
from calliope_call_worker.analysis.checking import Check
from calliope_call_worker.answerer import Answerer, Parts
from calliope_call_worker.clock import CallClock
from calliope_call_worker.closing import Closing, End
from calliope_call_worker.continuation import STREAM_LOST, STREAM_UNHEARD
from calliope_call_worker.dialogue import Dialogue
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.lines import LineCache, VoiceKey, prepare
from calliope_call_worker.media import CarrierGoneError, MediaSocket
from calliope_call_worker.phrases import phrases_of
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.voice_activity import VoiceActivity
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.playback_keeper import PlaybackKeeper
from calliope_call_worker.ports import Journal, Playbacks, Recorder
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.registry import CallProviders
from calliope_call_worker.providers.stt.base import SttStream
from calliope_call_worker.providers.telephony.base import (
    CarrierApi,
    MediaDtmf,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.tts.base import VoiceSession
from calliope_call_worker.settings import WorkerSettings
from calliope_call_worker.speaker import Speaker
from calliope_call_worker.tools.http import HttpTools, ToolAnswer
from calliope_call_worker.tools.toolbox import Toolbox
from calliope_call_worker.transfer import Transfer

log = structlog.get_logger(__name__)

EARLY_AUDIO_BYTES: Final = 8_000 * 10  # caller audio kept while the recogniser is being opened
WHOSE_S: Final = 0.5  # a bus that is away does not keep a line up for longer
HANDED_OVER_S: Final = 0.5
"""So long the bus may take to store that a call is handed over; without that, it is taken for one that was lost."""
REATTACH_S: Final = 5.0  # after media was lost, how long the carrier may take to ask who goes on
_LINE_IS_GONE: Final = {EndReason.CALLER_HUNG_UP, EndReason.TRANSFERRED}
_CARRIER_ENDS: Final = {EndReason.NO_MEDIA: Failure.DEADLINE, EndReason.CARRIER_FAILED: Failure.DROPPED}
"""Ends that are a problem of the carrier, and of which kind."""
Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]


class CallOverError(Exception):
    """Ends the call's task group."""


@dataclass(frozen=True, slots=True)
class CallParts:
    """What a call is given by the worker. Tasks made by `spawn` outlive the call: effects that have begun."""

    settings: WorkerSettings
    journal: Journal
    providers: CallProviders
    carrier_api: CarrierApi
    http_tools: HttpTools
    check: Check
    lines: LineCache
    spawn: Spawn
    after_url: str
    playbacks: Playbacks
    recorder: Recorder | None = None


class Call:
    """A call from its acceptance to its last fact."""

    def __init__(self, plan: CallPlan, parts: CallParts) -> None:
        self.plan = plan
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._clock = CallClock(self._loop.time())
        self._toolbox = Toolbox(
            plan.call_id,
            plan.spec.tools_settings,
            parts.http_tools,
            parts.journal,
            parts.spawn,
            parts.check,
            begun=() if plan.continuation is None else plan.continuation.tools_begun,
            unknown=() if plan.continuation is None else plan.continuation.tools_unknown,
        )
        self._dialogue = Dialogue(
            plan,
            parts.settings.call,
            parts.journal,
            parts.providers,
            self._clock,
            self._toolbox.outcome,
            self._end,
            parts.recorder,
            playback=PlaybackKeeper(plan.call_id, parts.journal.sequence, parts.playbacks, parts.spawn),
        )
        self._voice_activity = VoiceActivity()
        self._media: MediaSocket | None = None
        self._attached = asyncio.Event()
        self._conversing = asyncio.Event()
        self._voice: asyncio.Future[VoiceSession] = self._loop.create_future()
        self._stt: SttStream | None = None
        self._early = bytearray()
        self._reason: EndReason | None = None
        self._ended: End | None = None
        self._detail = ""
        self._loss: ProviderError | None = None
        self._abandoned = False
        self._told = False
        self._over = asyncio.Event()
        self._transfer = Transfer(
            plan,
            parts.carrier_api,
            parts.journal,
            after_url=parts.after_url,
            over=self._over,
            tell_problem=lambda exc: self.provider_failed(Stage.CARRIER, exc, "told the model"),
        )
        self._released = asyncio.Event()
        parts.journal.on_lost = self._lost

    @property
    def ending(self) -> bool:
        """See `registry.LiveCall`."""
        return self._reason is not None

    @property
    def abandoned(self) -> bool:
        """Whether somebody else goes on with it."""
        return self._abandoned

    @property
    def told(self) -> bool:
        """Whether its end is stored in its journal."""
        return self._told

    def attach(self, socket: MediaSocket, started: MediaStarted) -> bool:
        """See `media.WaitingCall`."""
        if self._media is not None or self._over.is_set():
            return False
        self._media = socket
        self._clock.media_started(self._loop.time())
        self._parts.journal.append(CallAnswered(stream_id=started.stream_id, silence_ms=self._silence_ms()))
        self._attached.set()
        return True

    def _silence_ms(self) -> float | None:
        """How long the caller heard nothing, of a call that had media before."""
        past = self.plan.continuation
        if past is None or past.answered_at is None or past.media_ended_at is None:
            return None
        return max(0.0, (datetime.now(UTC) - past.media_ended_at) / timedelta(milliseconds=1))

    async def released(self) -> None:
        """See `media.WaitingCall`."""
        await self._released.wait()

    def line_ended(self, reason: EndReason, detail: str) -> None:
        """See `registry.LiveCall`."""
        if self._transfer.under_way:
            reason, detail = EndReason.TRANSFERRED, ""
        self.end(reason, detail)

    @property
    def waiting_facts(self) -> int:
        """See `registry.LiveCall`."""
        return self._parts.journal.waiting

    def end(self, reason: EndReason, detail: str) -> None:
        """See `registry.LiveCall`."""
        self._detail = self._detail or detail
        if self._conversing.is_set() and not self._dialogue.stopped:
            self._dialogue.tell(ev.HungUp(reason))
        else:
            self._end(reason)

    async def abandon(self) -> None:
        """See `registry.LiveCall`."""
        self._lost()
        await self._released.wait()

    async def hand_over(self, within_s: float) -> None:
        """Let another worker go on: between two turns, or when so much time has passed."""
        between_turns = False
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._dialogue.between_turns()
            between_turns = True
        if not self.ending:
            with suppress(JournalFullError):
                self._parts.journal.append(HandedOver(between_turns=between_turns))
                await self._parts.journal.flush(HANDED_OVER_S)
        if not self.ending:
            self._lost()
        await self._released.wait()

    async def run(self) -> None:
        """The whole call."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hold_voice(), name="call.voice")
                tasks.create_task(self._listen(), name="call.listen")
                tasks.create_task(self._parts.providers.llm.warm(), name="call.warm")
                tasks.create_task(self._converse(tasks), name="call.converse")
                tasks.create_task(self._until_over(), name="call.over")
        except* CallOverError:
            pass
        except* Exception as group:
            log.exception("call.crashed", call_id=self.plan.call_id)
            full = group.subgroup(JournalFullError) is not None
            self._end(EndReason.FAILED, "its facts could not be stored" if full else "an internal error")
            await self._close()
        finally:
            self._dialogue.abandon()
            self._released.set()

    # Its tasks

    async def _until_over(self) -> None:
        await self._over.wait()
        await self._close()
        raise CallOverError

    async def _hold_voice(self) -> None:
        """Keep the voice's connection warm, and have the welcome ready before anybody hears."""
        own = self.used
        try:
            async with self._parts.providers.tts.connect(self.plan.call_id) as session:
                self._voice.set_result(session)
                welcome = self.plan.spec.llm_settings.welcome_message
                fixed = phrases_of(self.plan.spec)
                for line in (welcome, fixed.apology, fixed.final_apology):
                    if line:
                        await prepare(self._parts.lines, self.key, session, line, own_voice=lambda: self.used == own)
                await self._over.wait()
        except ProviderError as exc:
            if not self._voice.done():
                self._voice.set_exception(exc)
                self._voice.exception()  # noted: replies ask for it, and then say so

    async def _listen(self) -> None:
        """Open the recogniser at once, while the phone still rings, and follow what it hears."""
        try:
            async with self._parts.providers.stt.open(self._parts.providers.stt_options) as stream:
                while self._early:  # more may come while this is sent
                    early, self._early = bytes(self._early), bytearray()
                    await stream.send(early)
                self._stt = stream
                async for event in stream.events():
                    self._dialogue.heard(event)
        except ProviderError as exc:
            log.warning("call.deaf", call_id=self.plan.call_id, error=str(exc))
            self._detail = "nobody hears the caller"
            await self._conversing.wait()  # while the phone still rings nobody can be told
            self._dialogue.tell(ev.EndRequested(EndReason.PROVIDER_FAILED, say=True))

    async def _converse(self, tasks: asyncio.TaskGroup) -> None:
        """Wait for media, then read it to its end."""
        try:
            async with asyncio.timeout(self._parts.settings.media.start_deadline_s):
                await self._attached.wait()
        except TimeoutError:
            self._end(EndReason.NO_MEDIA, "the carrier did not connect its media")
            return
        media = self._media
        if media is None:
            return
        tasks.create_task(self._write(media), name="call.write")
        lead_s = self._parts.settings.media.max_lead_s
        speaker = Speaker(media, self._dialogue.tell, lambda: self._not_taken(media), max_lead_s=lead_s)
        self._dialogue.begin(speaker, self._answerer(speaker), lambda work, name: tasks.create_task(work, name=name))
        self._conversing.set()
        try:
            await self._read(media, speaker)
        finally:
            speaker.close()

    def _answerer(self, speaker: Speaker) -> Answerer:
        return Answerer(
            Parts(
                spec=self.plan.spec,
                chain=self._parts.providers.llm,
                voices=self,
                lines=self._parts.lines,
                speaker=speaker,
                toolbox=self._toolbox,
                conversation=self._dialogue.conversation,
                tell=self._dialogue.tell,
                transfer=self._hand_over_to,
                system_prompt=self.plan.system_prompt,
                tool_rounds=self._parts.settings.call.tool_rounds,
            )
        )

    async def _write(self, media: MediaSocket) -> None:
        try:
            await media.drain()
        except CarrierGoneError as exc:
            self._loss = ProviderError(self.plan.carrier.name, Failure.DROPPED, str(exc))
            media.abort()  # whoever reads learns that it is lost

    def _not_taken(self, media: MediaSocket) -> None:
        """The carrier returns no mark any more, whatever it sends."""
        self._loss = ProviderError(self.plan.carrier.name, Failure.DEADLINE, "it plays nothing of what we send")
        media.abort()

    async def _read(self, media: MediaSocket, speaker: Speaker) -> None:
        while (event := await media.receive()) is not None:
            match event:
                case MediaFrame(audio):
                    await self._frame(audio)
                case MediaMark(name):
                    speaker.mark_returned(name)
                case MediaDtmf(digit):
                    self._parts.journal.append(DtmfReceived(digit=digit, at_ms=self._clock.ms(self._loop.time())))
                    self._dialogue.tell(ev.Dtmf(digit))
                case MediaStopped():
                    gone = EndReason.TRANSFERRED if self._transfer.under_way else EndReason.CALLER_HUNG_UP
                    self._dialogue.tell(ev.HungUp(gone))
                    return
                case _:
                    pass
        await self._media_lost(speaker)

    async def _media_lost(self, speaker: Speaker) -> None:
        """No `stop`: the line may live on. Whoever the carrier asks next goes on with the call.

        Nothing is said, decided or taken as heard from now on.
        """
        loss = self._loss or ProviderError(self.plan.carrier.name, Failure.DROPPED, "it closed the media stream")
        log.warning("media.lost", call_id=self.plan.call_id, reason=loss.detail, heard=not speaker.unheard)
        speaker.media_lost()
        self._dialogue.stop()
        if not self._over.is_set():
            self.provider_failed(Stage.CARRIER, loss, STREAM_UNHEARD if speaker.unheard else STREAM_LOST)
        try:
            async with asyncio.timeout(REATTACH_S):
                await self._over.wait()
        except TimeoutError:
            self._end(EndReason.CARRIER_FAILED, "the media stream was lost")

    async def _frame(self, audio: bytes) -> None:
        self._clock.audio_received(len(audio), self._loop.time())
        change = self._voice_activity.frame(audio)
        if change is not None:
            quiet_s = (self._clock.audio_ms - change.since_ms) / 1_000
            self._dialogue.tell(ev.VoiceStarted() if change.voiced else ev.VoiceStopped(change.since_ms, quiet_s))
        if self._stt is None:
            self._early += audio
            del self._early[:-EARLY_AUDIO_BYTES]
            return
        try:
            await self._stt.send(audio)
        except ProviderError as exc:
            log.debug("stt.not_sent", error=str(exc))

    # Voices, for the answerer

    @property
    def key(self) -> VoiceKey:
        """See `answerer.Voices`."""
        return self._parts.providers.voice_key

    @property
    def used(self) -> tuple[str, str]:
        """See `answerer.Voices`."""
        tts = self._parts.providers.tts
        return tts.name, tts.voice

    async def session(self) -> VoiceSession:
        """See `answerer.Voices`."""
        return await asyncio.shield(self._voice)

    # The end

    async def _hand_over_to(self, destination: str, key: str) -> ToolAnswer:
        answer = await self._transfer.begin(destination, key)
        if answer.ok:
            self._dialogue.tell(ev.HungUp(EndReason.TRANSFERRED))
        return answer

    def provider_failed(self, stage: Stage, error: ProviderError, action: str) -> None:
        """A provider failed; the fact is for the developer, the caller hears something better."""
        self._parts.journal.append(
            ProviderFailed(
                stage=stage,
                provider=error.provider,
                reason=error.reason,
                detail=error.detail,
                action=action[:100],
                turn=self._dialogue.live_turn,
            )
        )

    def _lost(self) -> None:
        """Somebody else owns the call now: not a word more."""
        self._abandoned = True
        self._dialogue.abandon()
        if self._media is not None:
            self._media.clear()  # what the carrier still holds is said again by whoever goes on
        self._over.set()

    def _end(self, reason: EndReason, detail: str = "") -> None:
        if not self._over.is_set():
            self._reason, self._detail = reason, detail or self._detail
            ended_at = datetime.now(UTC)
            self._ended = End(reason, self._duration_ms(ended_at), ended_at)
            self._over.set()

    def _duration_ms(self, until: datetime) -> float:
        """From the first media on, also where that went to another worker."""
        past = self.plan.continuation
        if past is not None and past.answered_at is not None:
            return max(0.0, (until - past.answered_at) / timedelta(milliseconds=1))
        return self._clock.ms(self._loop.time()) if self._media is not None else 0.0

    async def _close(self) -> None:
        """Nothing is said any more. See `closing`."""
        if self._abandoned or self._ended is None:
            return
        closing = Closing(
            self.plan.call_id, self._dialogue, self._toolbox, self._parts.journal, self._hang_up, self._parts.spawn
        )
        self._told = await closing.close(self._ended, line_is_up=self._line_is_up, tell_problem=self._tell_problem)

    def _line_is_up(self) -> bool:
        """Whether the line has to be put down by us."""
        # A voice that failed before it could say so: the carrier's own will, when it asks what comes after media.
        unsaid = self._reason is EndReason.PROVIDER_FAILED and not self._dialogue.goodbye_heard
        return not (self._reason in _LINE_IS_GONE or unsaid)

    def _tell_problem(self) -> str:
        failure = None if self._reason is None else _CARRIER_ENDS.get(self._reason)
        if failure is not None:
            problem = ProviderError(self.plan.carrier.name, failure, self._detail or "the line was lost")
            self.provider_failed(Stage.CARRIER, problem, "the call was ended")
        return self._detail

    async def _hang_up(self) -> None:
        await self._parts.journal.look_whose(WHOSE_S)
        if self._parts.journal.lost:
            return  # the line is another worker's, who went on while this one was frozen or cut off
        try:
            await self._parts.carrier_api.hang_up(self.plan.account, self.plan.carrier_call_id)
        except ProviderError as exc:
            log.warning("call.not_hung_up", call_id=self.plan.call_id, error=str(exc))
