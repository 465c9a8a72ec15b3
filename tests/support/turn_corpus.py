"""Plays a corpus of utterances to a turn machine in virtual time: two recognisers, a model and a voice with waits."""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine
from calliope_call_worker.pipeline.voice_activity import VoiceActivity
from calliope_sandbox.recognition import Recognition, RecognitionOptions
from calliope_sandbox.turn_recognition import TurnOptions, TurnRecognition
from calliope_sandbox.utterances import Utterance

STEP_MS: Final = 20
LEAD_MS: Final = 200
AFTER_MS: Final = 2_500
THINK_S: Final = 0.3
"""From a request to the first token that can be spoken."""
VOICE_S: Final = 0.1
SPEAK_S: Final = 1.5
LAG_MS: Final = (60, 140)
"""Network and recogniser: from the audio to the message about it."""
FRAME_LAG_S: Final = 0.04
VOICED: Final = b"\x80" * 160
QUIET: Final = b"\xff" * 160
FRESH_MS: Final = 120.0
WRONG_FRESH: Final = 0.2
WRONG_STANDING: Final = 0.03
Recogniser = Literal["nova", "flux", "flux-eager"]


@dataclass(slots=True)
class Figures:
    """What a corpus came to."""

    answers: int = 0
    prepared: int = 0
    used: int = 0
    asked_at_commit: int = 0
    withdrawn: int = 0
    first_audio_ms: list[float] = field(default_factory=list)
    gains: list[tuple[float, float]] = field(default_factory=list)
    """Of prepared replies that were used: ms from the last word to the request, and to the end of the turn."""

    @property
    def requests(self) -> int:
        """Model requests, whatever became of them."""
        return self.prepared + self.asked_at_commit

    @property
    def requests_per_answer(self) -> float:
        """1.0: every request became the answer that was heard."""
        return self.requests / self.answers

    @property
    def used_share(self) -> float:
        """Share of the prepared replies that became the answer."""
        return self.used / self.prepared if self.prepared else 1.0

    def quantile(self, share: float) -> float:
        """Ms from the caller's last word to the first audio."""
        ordered = sorted(self.first_audio_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def play(corpus: Iterable[Utterance], recogniser: Recogniser, settings: TurnSettings, *, seed: int = 1) -> Figures:
    """Every utterance as a call of its own."""
    figures, chance = Figures(), random.Random(seed)
    for utterance in corpus:
        _Call(recogniser, settings, figures, chance).run(utterance)
    return figures


@dataclass(order=True, slots=True)
class _Due:
    at: float
    order: int
    what: Callable[[], None] = field(compare=False)


class _Call:
    def __init__(self, recogniser: Recogniser, settings: TurnSettings, figures: Figures, chance: random.Random) -> None:
        self.machine = TurnMachine(settings)
        self.figures = figures
        self.chance = chance
        self.now = 0.0
        self.due: list[_Due] = []
        self.order = itertools.count()
        self.asked_at: dict[str, float] = {}
        self.live = ""
        self.answered = False
        self.last_word_s = 0.0
        self.voice = VoiceActivity()
        self.recogniser = _nova() if recogniser == "nova" else _flux(eager=recogniser == "flux-eager")

    def run(self, utterance: Utterance) -> None:
        self.tell(ev.MediaStarted(welcome=False))
        self.last_word_s = (utterance.end_ms + LEAD_MS) / 1_000
        self._schedule_caller(utterance)
        while self.due:
            deadline = self.machine.deadline
            if deadline is not None and deadline <= self.due[0].at:
                self.now = max(self.now, deadline)
                self.tell(ev.Tick())
                continue
            next_ = heapq.heappop(self.due)
            self.now = next_.at
            next_.what()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.due, _Due(when, next(self.order), what))

    def tell(self, event: ev.Input) -> None:
        for decision in self.machine.decide(event, self.now):
            self._do(decision)

    def _do(self, decision: ev.Decision) -> None:
        match decision:
            case ev.Prepare(reply_id):
                self.figures.prepared += 1
                self.asked_at[reply_id] = self.now
            case ev.Commit(reply_id):
                if decision.prepared:
                    self.figures.used += 1
                    if self.now >= self.last_word_s:
                        asked_ms = (self.asked_at[reply_id] - self.last_word_s) * 1_000
                        self.figures.gains.append((asked_ms, (self.now - self.last_word_s) * 1_000))
                else:
                    self.figures.asked_at_commit += 1
                    self.asked_at[reply_id] = self.now
                self.live = reply_id
                audible = max(self.now, self.asked_at[reply_id] + THINK_S) + VOICE_S
                self.at(audible, lambda: self._audible(reply_id))
            case ev.Withdraw():
                self.figures.withdrawn += 1
                self.live = ""
            case ev.Interrupt():
                self.live = ""
            case _:
                pass

    def _audible(self, reply_id: str) -> None:
        if reply_id != self.live:
            return
        self.figures.answers += 1
        if self.now >= self.last_word_s:
            self.figures.first_audio_ms.append((self.now - self.last_word_s) * 1_000)
        self.tell(ev.ReplyAudible(reply_id))
        self.at(self.now + SPEAK_S, lambda: self._done(reply_id))

    def _done(self, reply_id: str) -> None:
        if reply_id == self.live:
            self.live = ""
            self.tell(ev.ReplyDone(reply_id))

    def _schedule_caller(self, utterance: Utterance) -> None:
        """What the recogniser makes of the utterance, message by message, each with its lag."""
        waiting = deque(replace(w, start_ms=w.start_ms + LEAD_MS, end_ms=w.end_ms + LEAD_MS) for w in utterance.words)
        told_at, said_until_ms = 0.0, 0.0
        for position_ms in range(STEP_MS, int(waiting[-1].end_ms) + AFTER_MS, STEP_MS):
            fresh = []
            while waiting and waiting[0].end_ms <= position_ms:
                fresh.append(waiting.popleft())
                said_until_ms = fresh[-1].end_ms
            speaking = bool(waiting) and waiting[0].start_ms < position_ms
            self._schedule_voice(position_ms, voiced=speaking or bool(fresh))
            for emission in self.recogniser.hear(
                fresh,
                partial=waiting[0].text[:2] if speaking else "",
                position_ms=position_ms,
                silence_ms=0.0 if speaking else position_ms - said_until_ms,
            ):
                # messages keep their order
                told_at = max(told_at, position_ms / 1_000 + self.chance.uniform(*LAG_MS) / 1_000)
                for event in _events(emission.message, self.chance):
                    self.at(told_at, partial(self._hear, event, told_at * 1_000))

    def _schedule_voice(self, position_ms: float, *, voiced: bool) -> None:
        """Frames arrive as they are spoken, a little later."""
        change = self.voice.frame(VOICED if voiced else QUIET)
        if change is None:
            return
        at = position_ms / 1_000 + FRAME_LAG_S
        quiet = ev.VoiceStopped(change.since_ms, (position_ms - change.since_ms) / 1_000)
        self.at(at, lambda: self.tell(ev.VoiceStarted() if change.voiced else quiet))

    def _hear(self, event: ev.Input, audio_ms: float) -> None:
        if isinstance(event, ev.Interim | ev.Final):
            event = replace(event, audio_ms=audio_ms)
        self.tell(event)


def _nova() -> Recognition:
    return Recognition(
        RecognitionOptions(interim_results=True, endpointing_ms=300, utterance_end_ms=1_000, interim_ms=250)
    )


def _flux(*, eager: bool) -> TurnRecognition:
    return TurnRecognition(
        TurnOptions(eot_threshold=0.7, eager_eot_threshold=0.4 if eager else None, update_ms=250, sure_ms=550)
    )


def _events(message: dict[str, Any], chance: random.Random) -> list[ev.Input]:
    """As the worker reads the vendor's messages."""
    match message["type"]:
        case "Results":
            heard = message["channel"]["alternatives"][0]
            start_ms = message["start"] * 1_000
            window = (start_ms, start_ms + message["duration"] * 1_000)
            starts = tuple(word["start"] * 1_000 for word in heard["words"])
            if message["is_final"]:
                return [ev.Final(heard["transcript"], *window, starts, speech_final=message["speech_final"])]
            return [ev.Interim(_guessed(heard["transcript"], heard["words"], window[1], chance), *window, starts)]
        case "UtteranceEnd":
            return [ev.UtteranceEnd(message["last_word_end"] * 1_000)]
        case "TurnInfo":
            window = (message["audio_window_start"] * 1_000, message["audio_window_end"] * 1_000)
            starts = tuple(word["start"] * 1_000 for word in message["words"])
            if message["event"] == "EndOfTurn":
                return [ev.Final(message["transcript"], *window, starts, speech_final=True)]
            resumed: list[ev.Input] = [ev.TurnResumed()] if message["event"] == "TurnResumed" else []
            text = _guessed(message["transcript"], message["words"], window[1], chance)
            return [*resumed, ev.Interim(text, *window, starts, eager=message["event"] == "EagerEndOfTurn")]
        case _:
            return []


def _guessed(text: str, words: list[dict[str, Any]], window_end_ms: float, chance: random.Random) -> str:
    """Interims are guesses: the last word more often, while the recogniser has not heard what follows it."""
    if len(text) < 5 or not words:
        return text
    fresh = window_end_ms - words[-1]["end"] * 1_000 < FRESH_MS
    return text[:-2] if chance.random() < (WRONG_FRESH if fresh else WRONG_STANDING) else text
