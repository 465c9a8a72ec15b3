"""Turn taking: what caller and assistant do becomes decisions. Never awaits, reads no clock, touches nothing outside.

An input changes the state; then every rule whose time has come fires, in order, until none is due.
"""

from collections.abc import Sequence

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.hearing import Piece, count_words, join, keys, same_words
from calliope_call_worker.pipeline.turn_rules import RULES
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turn_state import Closing, Reply, TurnState

MAX_STEPS = 32
"""Rules fired by one input: each takes its own condition away, so far fewer do."""

ReplyNews = ev.ReplyAudible | ev.ReplyPaused | ev.ReplyDone | ev.ReplyFailed | ev.ToolsRunning


class TurnMachine:
    """The turn taking of one call. Feed `decide`, do what it answers in order, and send `Tick` at `deadline`."""

    def __init__(self, settings: TurnSettings) -> None:
        self._state = TurnState.fresh(settings)

    @property
    def deadline(self) -> float | None:
        """When to send `Tick` at the latest; None: only another input matters."""
        if self._state.ended:
            return None
        return min((at for at in (rule.due(self._state) for rule in RULES) if at is not None), default=None)

    @property
    def live_reply(self) -> str | None:
        """The reply being thought about or spoken."""
        return self._state.live.id if self._state.live else None

    @property
    def turns(self) -> int:
        """The caller's turns that stand; one that was withdrawn does not."""
        return self._state.turns

    @property
    def waiting_text(self) -> str:
        """Words of the caller that no turn holds."""
        return self._state.ear.text

    @property
    def between_turns(self) -> bool:
        """Whether nobody speaks, thinks, or waits for an answer, and the call is not about to end."""
        s = self._state
        return not (s.live or s.closing or s.caller_goes_on or s.voiced)

    @property
    def ended(self) -> bool:
        """Whether `EndCall` was decided."""
        return self._state.ended

    def decide(self, event: ev.Input, now: float) -> tuple[ev.Decision, ...]:
        """What to do, in order, now that this happened. `now` is in seconds; going back counts as standing still."""
        s = self._state
        if s.ended:
            return ()
        s.now = max(now, s.now)
        s.out = []
        _take_in(s, event)
        for _ in range(MAX_STEPS):
            if s.ended or not _fire_one(s):
                break
        return tuple(s.out)


def _fire_one(s: TurnState) -> bool:
    for rule in RULES:
        at = rule.due(s)
        if at is not None and at <= s.now:
            rule.fire(s)
            return True
    return False


def _take_in(s: TurnState, event: ev.Input) -> None:
    match event:
        case ev.Interim():
            _on_interim(s, event)
        case ev.Final():
            _on_final(s, event)
        case ev.UtteranceEnd():
            _on_utterance_end(s, event)
        case ev.TurnResumed():
            _on_turn_resumed(s)
        case ev.VoiceStopped():
            s.quiet_since, s.voiced_until_ms, s.voiced = s.now - event.quiet_s, event.voiced_until_ms, False
        case ev.VoiceStarted():
            s.quiet_since, s.voiced = None, True
        case ev.Dtmf():
            _on_digit(s, event.digit)
        case ev.MediaStarted():
            _on_media_started(s, event)
        case ev.EndRequested():
            _on_end_requested(s, event)
        case ev.HungUp():
            s.end(event.reason)
        case ev.Tick():
            pass
        case _:
            if s.live is not None and s.live.id == event.reply_id:
                _on_reply(s, event, s.live)


def _on_media_started(s: TurnState, event: ev.MediaStarted) -> None:
    if s.started_at is not None:
        return
    s.started_at, s.silence_since = s.now - event.elapsed_s, s.now
    s.turns, s.replies = event.turns, event.replies
    s.words_missed, s.listening_since, s.unheard_since = event.words_missed, s.now, s.now - event.unheard_s
    unanswered = event.unanswered.strip()
    if unanswered:
        s.ear.add(unanswered)
        s.owed, s.ended_by, s.answer_heard = True, "resumed", event.answer_heard
    if event.welcome:
        s.out.append(ev.SayWelcome(s.start_reply("welcome").id))
    elif event.goes_on:
        s.out.append(ev.GoOn(s.start_reply("resume").id, ""))


def _on_interim(s: TurnState, event: ev.Interim) -> None:
    changed = s.ear.hear_interim(Piece(event.text.strip(), event.start_ms, event.end_ms))
    standing = s.ear.interim
    s.eager, s.transcribed_ms = event.eager, event.end_ms
    if standing is not None:
        words = count_words(standing.text)
        s.barge.heard_interim(words, _began(s, event, words), keys(standing.text))
    if changed:
        s.heard_at = s.now
        _words_changed(s)


def _on_final(s: TurnState, event: ev.Final) -> None:
    added, changed = s.ear.hear_final(Piece(event.text.strip(), event.start_ms, event.end_ms))
    standing = s.ear.interim
    s.eager, s.transcribed_ms = False, event.end_ms
    if changed or s.open:
        words = count_words(added)
        left = count_words(standing.text) if standing else 0
        s.barge.heard_final(words, _began(s, event, words), left, keys(added))
    if changed:
        # words that were confirmed together with new ones belong to the utterance that is going on
        s.utterance_from = min(s.utterance_from, s.ear.touched)
        _words_changed(s)
    s.utterance_from = min(s.utterance_from, len(s.ear.pieces))
    if added and s.open:
        s.heard_at = s.now
    if event.speech_final and s.open and (standing is None or event.end_ms is None):
        s.utterance_over("speech_final")


def _began(s: TurnState, heard: ev.Interim | ev.Final, words: int) -> Sequence[float] | None:
    """When the last so many of these words were begun, on the call's clock; None when the recogniser does not tell."""
    if heard.audio_ms is None or words == 0 or len(heard.word_starts_ms) < words:
        return None
    audio_ms = heard.audio_ms
    return [s.now - (audio_ms - start_ms) / 1_000 for start_ms in heard.word_starts_ms[-words:]]


def _words_changed(s: TurnState) -> None:
    s.open, s.words_missed = True, False
    s.changed_at = s.silence_since = s.now
    s.idle_count = 0
    if s.prepared is not None and not same_words(s.prepared.text, s.ear.text):
        s.discard()
    if s.live is not None:
        s.withdraw(s.live)


def _on_utterance_end(s: TurnState, event: ev.UtteranceEnd) -> None:
    last = event.last_word_end_ms
    went_on = last is not None and last >= 0 and any(p.start_ms is not None and p.start_ms >= last for p in s.utterance)
    if s.open and not went_on:
        s.utterance_over("utterance_end")


def _on_turn_resumed(s: TurnState) -> None:
    """Words are on their way: whoever thinks about those known so far thinks in vain."""
    s.eager = False
    s.discard()
    if s.open:
        s.heard_at = s.changed_at = s.silence_since = s.now


def _on_digit(s: TurnState, digit: str) -> None:
    s.silence_since, s.idle_count, s.words_missed = s.now, 0, False
    s.discard()
    if s.live is not None and s.live.can_be_cut:
        s.cut(s.live, "dtmf")
    elif s.live is not None:
        s.withdraw(s.live)
    s.digit_at = s.now
    if digit != "#":
        s.digits += digit
    if digit == "#" or len(s.digits) >= s.settings.max_digits:
        s.digits_over()


def _on_end_requested(s: TurnState, event: ev.EndRequested) -> None:
    if s.closing is None:
        s.closing = Closing(event.reason, s.now, say=event.say, urgent=False)
        if s.live is not None:
            s.live.firm = True


def _on_reply(s: TurnState, event: ReplyNews, live: Reply) -> None:
    match event:
        case ev.ReplyAudible() if not live.speaking:
            live.speaking = live.heard = True
            unconfirmed = count_words(s.ear.interim.text) if s.ear.interim else 0
            s.barge.audible(s.now, count_words(join(s.utterance)) if s.open else 0, unconfirmed)
        case ev.ReplyPaused() if live.speaking:
            s.fall_silent(live)
        case ev.ToolsRunning():
            live.tools, live.effect = event.running, True
            live.quiet_since = s.now
        case ev.ReplyDone() | ev.ReplyFailed():
            s.fall_silent(live)
            s.live = None
            if live.ends and (live.firm or not s.caller_goes_on):
                s.end(live.ends)
        case _:
            pass
