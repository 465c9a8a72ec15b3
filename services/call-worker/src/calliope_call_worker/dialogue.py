"""The talk of one call: every event passes the turn machine here, and what it decides is done. Nothing in it waits."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from calliope.contracts.calls import EndReason, Interrupted, TurnKind, TurnStarted
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker import metrics, phrases
from calliope_call_worker.answerer import Answerer
from calliope_call_worker.clock import CallClock
from calliope_call_worker.conversation import Conversation
from calliope_call_worker.errors import JournalFullError
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.replay import record, settings_record
from calliope_call_worker.pipeline.sentences import rest_from_sentence
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine
from calliope_call_worker.pipeline.unfinished import language_of
from calliope_call_worker.plan import CallPlan, Continuation
from calliope_call_worker.playback import ANSWERS, BegunReply, Playback
from calliope_call_worker.playback_keeper import PlaybackKeeper
from calliope_call_worker.ports import Journal, Recorder
from calliope_call_worker.providers.registry import CallProviders
from calliope_call_worker.providers.stt.base import SpeechStarted, SttEvent, Transcript, TurnResumed, UtteranceEnded
from calliope_call_worker.reply import Outcome, Reply
from calliope_call_worker.settings import CallSettings
from calliope_call_worker.speaker import Speaker

FLUX_TURN_MS: Final = 5_000  # the vendor's own default of `eot_timeout_ms`
FLUX_GRACE_S: Final = 0.5
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]
_LINES: Final = frozenset({TurnKind.IDLE, TurnKind.RESUME, TurnKind.ASK_TO_REPEAT})
"""What is said of the assistant's own accord, and can be said to its end without more."""


class Dialogue:
    """Turns, replies and history of one call. Times are of the loop's clock; facts carry the call clock."""

    def __init__(
        self,
        plan: CallPlan,
        settings: CallSettings,
        journal: Journal,
        providers: CallProviders,
        clock: CallClock,
        outcome: Outcome,
        end: Callable[[EndReason, str], None],
        recorder: Recorder | None = None,
        *,
        playback: PlaybackKeeper,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._providers = providers
        self._clock = clock
        self._outcome = outcome
        self._playback = playback
        self._begun = None if plan.continuation is None else plan.continuation.begun
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._recorder = recorder
        limits = turn_settings(plan.spec, settings)
        self._machine = TurnMachine(limits)
        if recorder is not None:
            recorder.record(settings_record(limits))
        self._replies: dict[str, tuple[Reply, asyncio.Event, asyncio.Task[None]]] = {}
        self._phrases = phrases.phrases_of(plan.spec)
        self._discarded: list[Reply] = []
        self._cut_short: tuple[Reply, str] | None = None
        self._spawn: Spawn | None = None
        self._speaker: Speaker | None = None
        self._answerer: Answerer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._told = asyncio.Event()
        self._unanswered = ""
        self._heard_at_last: dict[str, str] = {}
        self._last_word_at: float | None = None
        self._final_at: float | None = None
        self.conversation = Conversation(max_characters=settings.history_characters)
        self.turns = 0
        self.goodbye_heard = False
        if plan.continuation is not None:
            self.turns = plan.continuation.turns
            for turn in plan.continuation.history:
                self.conversation.commit(turn)
        if self._begun is not None:  # at once: should this worker be gone before it speaks, the next one knows as much
            playback.keep(self._begun.playback(after=journal.sequence))

    @property
    def live_turn(self) -> int | None:
        """The turn being answered, if any."""
        return next((reply.turn for reply, _, _ in self._replies.values()), None)

    @property
    def stopped(self) -> bool:
        """Whether nothing is decided any more."""
        return self._closed

    async def between_turns(self) -> None:
        """Until nobody speaks, thinks or waits for an answer."""
        while self._spawn is None or not self._machine.between_turns:
            self._told.clear()
            await self._told.wait()

    def begin(self, speaker: Speaker, answerer: Answerer, spawn: Spawn) -> None:
        """Media flows: welcome the caller, or go on where another worker was."""
        self._speaker, self._answerer, self._spawn = speaker, answerer, spawn
        speaker.on_progress = self._keep_playback
        past = self._plan.continuation
        if past is None:
            self.tell(ev.MediaStarted(welcome=bool(self._plan.spec.llm_settings.welcome_message)))
            return
        begun = self._begun
        if begun is not None and begun.over:
            self._commit_begun(begun)
        self.tell(
            ev.MediaStarted(
                welcome=past.welcome_owed and bool(self._plan.spec.llm_settings.welcome_message),
                elapsed_s=past.elapsed_s,
                turns=past.turns,
                replies=1_000 * (1 + past.turns),
                unanswered=past.unanswered if not past.ends or (begun is not None and begun.answers) else "",
                words_missed=past.words_missed,
                unheard_s=_unheard_s(past),
                answer_heard=begun is not None and begun.answers,
                goes_on=self._begun is not None and self._begun.kind in _LINES,
            )
        )
        if past.ends:
            self._go_on_ending(past)

    def _go_on_ending(self, past: Continuation) -> None:
        """The last worker was about to end the call: what is left of its last words, or a goodbye, then the end."""
        begun = past.begun
        if begun is not None:
            reason = begun.ends or EndReason.ASSISTANT_ENDED
            own = begun.kind == TurnKind.GOODBYE and not begun.over
            custom = begun.answers and self._plan.spec.tools_settings.end_call.custom_message is not None
            self.tell(ev.EndRequested(reason, say=own or (custom and reason == EndReason.ASSISTANT_ENDED)))
            return
        if past.unanswered:
            self._commit_unanswered(past.unanswered)
        self.tell(ev.EndRequested(EndReason.ASSISTANT_ENDED, say=bool(past.unanswered)))

    def _commit_begun(self, begun: BegunReply) -> None:
        """All of what another worker was saying was heard; it did not live to write that down."""
        self._begun = None
        reply = self._new_reply("heard", TurnKind(begun.kind), begun.turn, begun.text)
        self._resume(reply, begun)
        reply.moments.done = self._loop.time()
        self.goodbye_heard |= reply.kind is TurnKind.GOODBYE
        self._write(reply, reply.begun, interrupted=False)

    def _resume(self, reply: Reply, begun: BegunReply | None) -> None:
        """Put what another worker had done of this turn in front of it."""
        past = self._plan.continuation
        if past is not None:
            goes_on = reply.kind is TurnKind.RESUME and begun is not None
            reply.resume(past.tools_of(reply.turn) if goes_on or reply.kind in ANSWERS else (), begun)

    def _begun_of(self, kind: TurnKind, turn: int, text: str) -> BegunReply | None:
        """What another worker had said of this reply, once."""
        begun = self._begun
        if begun is None or (begun.kind != kind and not (kind in ANSWERS and begun.answers)):
            return None
        if begun.answers and (begun.turn != turn or begun.text.strip() != text.strip()):
            return None
        self._begun = None
        return begun

    def heard(self, event: SttEvent) -> None:
        """The recogniser heard something."""
        match event:
            case Transcript():
                now = self._loop.time()
                if event.text:
                    end_ms = event.words[-1].end_ms if event.words else event.end_ms
                    self._last_word_at = min(now, self._clock.audio_at(end_ms))
                starts = tuple(word.start_ms for word in event.words)
                window = (event.text, event.start_ms, event.end_ms, starts, self._clock.audio_ms)
                if event.is_final:
                    self._final_at = now
                    self.tell(ev.Final(*window, speech_final=event.speech_final))
                else:
                    self.tell(ev.Interim(*window, eager=event.eager))
            case TurnResumed():
                self.tell(ev.TurnResumed())
            case UtteranceEnded():
                self.tell(ev.UtteranceEnd(event.last_word_end_ms))
            case SpeechStarted():
                pass

    def tell(self, event: ev.Input) -> None:
        """Everything that happens passes here, one after the other."""
        if self._closed:
            return
        now = self._loop.time()
        match event:
            case ev.ReplyAudible(reply_id) if reply_id in self._replies:
                self._replies[reply_id][0].moments.stamp("first_audio_sent", now)
            case ev.ReplyDone(reply_id) | ev.ReplyFailed(reply_id):
                self._commit(reply_id, interrupted=False)
            case ev.VoiceStarted() if self._spawn is not None:  # an answer may follow; servers close what is idle
                self._spawn(self._providers.llm.warm(), "call.warm")
            case _:
                pass
        try:
            decisions = self._machine.decide(event, now)
            if self._recorder is not None:
                self._recorder.record(record(event, now, decisions))
            for decision in decisions:
                self._do(decision, now)
        except JournalFullError as exc:
            self._end(EndReason.FAILED, str(exc))
        self._told.set()
        self._arm()

    def stop(self) -> None:
        """Nothing is decided, said or heard any more; what was heard until now stays what was heard."""
        if self._closed:
            return
        self._closed = True
        self._unanswered = self._unanswered or self._machine.waiting_text
        self._disarm()
        for reply_id, (reply, gate, task) in self._replies.items():
            task.cancel()
            reply.moments.stamp("done", self._loop.time())
            if self._speaker is not None:
                heard = self._heard_at_last[reply_id] = self._speaker.heard(reply_id).text
                self.goodbye_heard |= reply.kind is TurnKind.GOODBYE and bool(heard)
                if gate.is_set() and reply.after is not None:  # who goes on says a word that is cut here anew
                    whole = self._speaker.heard(reply_id, whole_words=True).text
                    self._playback.keep(reply.playback(len(whole)))
        self._playback.close()

    def close(self) -> None:
        """After `stop`, when effects have come to their end: what was heard until then is committed."""
        for reply_id, (_, gate, _) in list(self._replies.items()):
            if gate.is_set():
                self._commit(reply_id, interrupted=True, heard=self._heard_at_last.get(reply_id, ""))
        if self._unanswered:
            self._commit_unanswered(self._unanswered)

    def abandon(self) -> None:
        """Nothing is decided, said or written any more: somebody else goes on."""
        self.stop()

    def _do(self, decision: ev.Decision, now: float) -> None:
        match decision:
            case ev.SayWelcome(reply_id):
                self._say(reply_id, TurnKind.WELCOME, self._plan.spec.llm_settings.welcome_message or "")
            case ev.SayIdle(reply_id):
                self._say(reply_id, TurnKind.IDLE, self._phrases.idle)
            case ev.AskToRepeat(reply_id):
                self._say(reply_id, TurnKind.ASK_TO_REPEAT, self._phrases.ask_to_repeat)
            case ev.SayGoodbye(reply_id, reason):
                custom = self._plan.spec.tools_settings.end_call.custom_message
                ours = custom if custom and reason == EndReason.ASSISTANT_ENDED else self._phrases.goodbye_for(reason)
                self._say(reply_id, TurnKind.GOODBYE, ours, ends=reason)
            case ev.Prepare(reply_id, text):
                self._answer(reply_id, self.turns + 1, text)
            case ev.Commit():
                self._commit_turn(decision, now)
            case ev.Discard(reply_id) | ev.Withdraw(reply_id):
                self._drop(reply_id)
            case ev.GoOn(reply_id):
                self._go_on(reply_id)
            case ev.Interrupt(reply_id, cause):
                self._interrupt(reply_id, cause, now)
            case ev.EndCall(reason, unanswered):
                self._unanswered = unanswered
                self._end(EndReason(reason), "")
            case ev.Note("backchannel", text):
                for reply, _, _ in self._replies.values():
                    reply.backchannel.append(text)
            case ev.Note():
                pass

    def _commit_turn(self, commit: ev.Commit, now: float) -> None:
        self.turns = commit.turn
        self._journal.append(TurnStarted(turn=commit.turn, text=commit.text, at_ms=self._clock.ms(now)))
        if not commit.prepared:
            self._answer(commit.reply_id, commit.turn, commit.text)
        reply, gate, _ = self._replies[commit.reply_id]
        reply.turn, reply.text = commit.turn, commit.text
        reply.moments.last_word, reply.moments.final = self._last_word_at, self._final_at
        reply.moments.committed = now
        if self._speaker is not None:
            self._speaker.begin(commit.reply_id)
        gate.set()

    def _commit_unanswered(self, text: str) -> None:
        """The caller's last words: nobody is there to answer them, but they were said."""
        now = self._loop.time()
        self.turns = self._machine.turns + 1
        reply = self._new_reply("unanswered", TurnKind.REPLY, self.turns, text)
        reply.moments.last_word, reply.moments.final = self._last_word_at, self._final_at
        reply.moments.committed = reply.moments.done = now
        self._journal.append(TurnStarted(turn=self.turns, text=text, at_ms=self._clock.ms(now)))
        self._account_for_discarded(reply)
        self._journal.append(reply.committed("", self._outcome, interrupted=False, ms=self._clock.ms))

    def _answer(self, reply_id: str, turn: int, text: str) -> None:
        gate = asyncio.Event()
        reply = self._new_reply(reply_id, TurnKind.REPLY, turn, text)
        past, begun = self._plan.continuation, self._begun_of(TurnKind.REPLY, turn, text)
        self._resume(reply, begun)
        if self._answerer is None:
            return
        if past is None or begun is None:
            self._start(reply, gate, self._answerer.answer(reply, gate))
        else:
            reply.kind, complete = TurnKind(begun.kind), begun.complete or past.ends
            self._start(reply, gate, self._answerer.go_on(reply, gate, begun.rest, complete=complete))

    def _say(self, reply_id: str, kind: TurnKind, text: str, *, ends: str = "") -> None:
        gate = asyncio.Event()
        gate.set()
        begun = self._begun_of(kind, self.turns, text)
        reply = self._new_reply(reply_id, kind, self.turns, text if begun is None else begun.rest)
        self._resume(reply, begun)
        reply.ends = ends
        if self._answerer is not None:
            self._start(reply, gate, self._answerer.say_line(reply))

    def _new_reply(self, reply_id: str, kind: TurnKind, turn: int, text: str) -> Reply:
        reply = Reply(reply_id, kind, turn, text)
        reply.usage.tts_provider, reply.usage.tts_voice = self._providers.tts.name, self._providers.tts.voice
        reply.usage.stt_provider = self._providers.stt.name
        return reply

    def _start(self, reply: Reply, gate: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
        if self._spawn is not None:
            self._replies[reply.id] = (reply, gate, self._spawn(work, f"call.reply.{reply.kind}"))

    def _drop(self, reply_id: str) -> None:
        entry = self._replies.pop(reply_id, None)
        if entry is not None and self._speaker is not None:
            entry[2].cancel()
            self._speaker.cut(reply_id)
            self._discarded.append(entry[0])

    def _interrupt(self, reply_id: str, cause: str, now: float) -> None:
        if reply_id not in self._replies or self._speaker is None:
            return
        reply, _, task = self._replies[reply_id]
        heard = self._speaker.cut(reply_id)
        task.cancel()
        self._journal.append(
            Interrupted(
                turn=reply.turn,
                at_ms=self._clock.ms(now),
                reaction_ms=round((self._loop.time() - now) * 1_000, 3),
                words=len(self._machine.waiting_text.split()),
                heard_text=(reply.begun + heard.text).strip(),
                cause=cause,
            )
        )
        self._cut_short = (reply, reply.begun + heard.text)
        self._commit(reply_id, interrupted=heard.outcome != "all", heard=heard.text)

    def _go_on(self, reply_id: str) -> None:
        """Say what the last interruption kept the caller from hearing; what was not written yet, the model writes."""
        if self._begun is not None:
            self._go_on_with(reply_id, self._begun)
            return
        if self._cut_short is None:
            return
        cut, heard = self._cut_short
        if cut.complete or cut.kind is not TurnKind.REPLY:
            self._say(reply_id, TurnKind.RESUME, rest_from_sentence(cut.said, heard), ends=cut.ends)
        elif self._answerer is not None and self._speaker is not None:
            gate = asyncio.Event()
            gate.set()
            reply = self._new_reply(reply_id, TurnKind.RESUME, cut.turn, "" if cut.answered else cut.text)
            self._speaker.begin(reply_id)
            self._start(reply, gate, self._answerer.answer(reply, gate))

    def _go_on_with(self, reply_id: str, begun: BegunReply) -> None:
        """The rest of what another worker was saying of the assistant's own accord."""
        kind = TurnKind(begun.kind)
        if begun.complete or self._answerer is None or self._speaker is None:
            self._say(reply_id, kind, "", ends=begun.ends)
            return
        self._begun = None
        gate = asyncio.Event()
        gate.set()
        reply = self._new_reply(reply_id, kind, begun.turn, "")
        self._resume(reply, begun)
        self._speaker.begin(reply_id)
        self._start(reply, gate, self._answerer.go_on(reply, gate, begun.rest, complete=False))

    def _commit(self, reply_id: str, *, interrupted: bool, heard: str | None = None) -> None:
        """A reply is over: what was heard of it becomes history, and a fact."""
        entry = self._replies.pop(reply_id, None)
        if entry is None or self._speaker is None:
            return
        reply = entry[0]
        reply.moments.stamp("done", self._loop.time())
        reply.moments.first_audio_played = self._speaker.audible_at(reply_id)
        found = self._speaker.drop(reply_id)
        self._write(reply, reply.begun + (found.text if heard is None else heard), interrupted=interrupted)

    def _write(self, reply: Reply, text: str, *, interrupted: bool) -> None:
        reply.usage.stt_audio_ms = round(self._clock.audio_ms, 1)
        self._account_for_discarded(reply)
        self.goodbye_heard |= reply.kind is TurnKind.GOODBYE and bool(text)
        self.conversation.commit(reply.messages(text, self._outcome))
        cut_short = interrupted and text.strip() != reply.said.strip()
        self._journal.append(reply.committed(text, self._outcome, interrupted=cut_short, ms=self._clock.ms))

    def _keep_playback(self, reply_id: str) -> None:
        """More of it is on its way to the caller: others have to know, should this worker be gone before it is over."""
        entry = self._replies.get(reply_id)
        if entry is None or self._closed:
            return
        reply = entry[0]
        if reply.after is None:
            reply.after = self._journal.sequence
        self._playback.changed(lambda: self._playback_of(reply))

    def _playback_of(self, reply: Reply) -> Playback | None:
        if self._speaker is None or reply.id not in self._replies:
            return None
        heard, ahead = self._speaker.ahead(reply.id)
        unix_s = time.time() - self._loop.time()
        told_at = self._speaker.told_at(reply.id)
        return reply.playback(
            heard,
            ((end, round((at + unix_s) * 1_000)) for end, at in ahead),
            sent_until=None if told_at is None else round((told_at + unix_s) * 1_000),
        )

    def _account_for_discarded(self, reply: Reply) -> None:
        """Requests thrown away before this turn was over are paid for with it; their tasks have ended by now."""
        for discarded in self._discarded:
            reply.usage.add_discarded(discarded.usage)
        self._discarded.clear()
        metrics.count_llm(reply.usage)

    def _arm(self) -> None:
        self._disarm()
        deadline = self._machine.deadline
        if deadline is not None and not self._closed:
            self._timer = self._loop.call_at(max(deadline, self._loop.time()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.tell(ev.Tick())

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _unheard_s(past: Continuation) -> float:
    """For how long nobody has listened to the caller by now."""
    return 0.0 if past.media_ended_at is None else max(0.0, time.time() - past.media_ended_at.timestamp())


def turn_settings(spec: AssistantSpec, settings: CallSettings) -> TurnSettings:
    """The document's wishes and the worker's patience, as the turn machine wants them."""
    ceiling_s = settings.interim_ceiling_s
    if spec.stt_settings.is_flux:  # nothing is final before the turn is over: its own timeout comes first
        ceiling_s = max(ceiling_s, (spec.stt_settings.eot_timeout_ms or FLUX_TURN_MS) / 1_000 + FLUX_GRACE_S)
    return TurnSettings(
        interruption_threshold=spec.interruption_settings.interruption_threshold,
        interrupt_phrases=spec.interruption_settings.interrupt_phrases,
        ignore_phrases=spec.interruption_settings.ignore_phrases,
        min_speaking_time_s=spec.interruption_settings.min_speaking_time,
        interruption_cooldown_s=spec.interruption_settings.interruption_cooldown,
        false_interruption_s=(
            settings.false_interruption_s if spec.interruption_settings.resume_after_false_interruption else None
        ),
        idle_timeout_s=float(spec.idle_timeout) if spec.idle_timeout else None,
        max_idle_messages=spec.max_idle_messages,
        end_of_turn_s=settings.end_of_turn_s,
        interim_ceiling_s=ceiling_s,
        prepare_after_s=settings.prepare_after_s or None,
        max_preparations=settings.preparations,
        unfinished_wait_s=settings.unfinished_wait_s,
        eager_recogniser=spec.stt_settings.eager_eot_threshold is not None,
        language=language_of(spec.stt_settings.language),
        max_call_s=float(spec.max_call_duration),
    )
