"""What a call's turn taking remembers, and the few steps by which it changes. Knows no rule about time."""

from dataclasses import dataclass, field, replace
from typing import Literal

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.barge_in import BargeIn
from calliope_call_worker.pipeline.hearing import Ear, Piece, count_words, join
from calliope_call_worker.pipeline.spoken_phrases import SpokenPhrases
from calliope_call_worker.pipeline.turn_settings import TurnSettings

ReplyKind = Literal["welcome", "reply", "resume", "idle", "ask_to_repeat", "goodbye"]
InterruptCause = Literal["words", "phrase", "dtmf", "superseded", "stalled", "max_duration"]


@dataclass(frozen=True, slots=True)
class CutShort:
    """A reply that words of the caller interrupted, when, and what was to end with it."""

    reply_id: str
    at: float
    ends: str = ""


@dataclass(slots=True)
class Reply:
    """What the assistant is saying or about to say: at most one at a time."""

    id: str
    kind: ReplyKind
    since: float
    quiet_since: float
    pieces: tuple[Piece, ...] = ()
    speaking: bool = False
    heard: bool = False
    tools: bool = False
    effect: bool = False
    firm: bool = False
    ends: str = ""
    resumes: CutShort | None = None

    @property
    def can_be_cut(self) -> bool:
        """It is being heard, and stopping it here breaks nothing."""
        return self.speaking and not (self.tools or self.firm)

    @property
    def can_withdraw(self) -> bool:
        """Nobody heard it, it changed nothing outside, and the caller does not need to hear it."""
        return self.kind != "welcome" and not (self.heard or self.effect or self.firm)

    @property
    def can_supersede(self) -> bool:
        """It is silent, but not as if it had never been: the next turn may come after what there is of it."""
        return (self.heard or self.effect) and not (self.speaking or self.tools or self.firm)


@dataclass(frozen=True, slots=True)
class Closing:
    """Why the call is to end, and how: `urgent` does not let the assistant finish."""

    reason: str
    since: float
    say: bool
    urgent: bool


@dataclass(slots=True)
class TurnState:
    """Everything a decision may depend on."""

    settings: TurnSettings
    ear: Ear
    barge: BargeIn
    now: float = float("-inf")
    out: list[ev.Decision] = field(default_factory=list)

    live: Reply | None = None
    prepared: ev.Prepare | None = None
    cut_short: CutShort | None = None  # until the caller's words are a turn, or something else is said
    preparations: int = 0
    replies: int = 0
    turns: int = 0
    replaces: str | None = None

    open: bool = False  # the caller is in the middle of an utterance
    owed: bool = False  # the words waiting ask for an answer
    owed_since: float = float("-inf")
    eager: bool = False
    quiet_since: float | None = None  # None: the caller's audio holds a voice, or nobody judges it
    voiced: bool = False  # the caller's audio holds a voice, or a noise as loud
    voiced_until_ms: float = 0.0  # position in the caller's audio of its last voice
    transcribed_ms: float | None = None  # position up to which the recogniser has told what it heard
    ended_by: ev.TurnEndedBy = "timer"
    utterance_from: int = 0  # first piece of the current utterance
    heard_at: float = 0.0
    changed_at: float = 0.0
    digits: str = ""
    digit_at: float | None = None

    started_at: float | None = None
    silence_since: float = 0.0
    answer_heard: bool = False  # of the answer to the words that were owed when another worker left the call
    words_missed: bool = False  # nobody listened for a while, and nobody has spoken since
    listening_since: float = 0.0
    unheard_since: float = 0.0  # of a call taken over: from then until `listening_since` nobody listened
    idle_count: int = 0
    closing: Closing | None = None
    said_goodbye: bool = False
    ended: bool = False

    @classmethod
    def fresh(cls, settings: TurnSettings) -> "TurnState":
        """The state before the first input."""
        barge = BargeIn(
            threshold_words=settings.interruption_threshold,
            min_speaking_s=settings.min_speaking_time_s,
            cooldown_s=settings.interruption_cooldown_s,
            phrases=SpokenPhrases(settings.language, settings.interrupt_phrases, settings.ignore_phrases),
        )
        return cls(settings, Ear(), barge)

    # The assistant's side

    def next_id(self) -> str:
        """A reply id never used in this call."""
        self.replies += 1
        return f"r{self.replies}"

    def start_reply(self, kind: ReplyKind, *, reply_id: str | None = None, pieces: tuple[Piece, ...] = ()) -> Reply:
        """A reply begins: thought about, not heard yet."""
        self.cut_short, self.words_missed = None, False
        self.live = Reply(reply_id or self.next_id(), kind, since=self.now, quiet_since=self.now, pieces=pieces)
        return self.live

    def fall_silent(self, live: Reply) -> None:
        """The reply is not heard now."""
        live.speaking = False
        live.quiet_since = self.silence_since = self.now
        self.barge.quiet()

    def cut(self, live: Reply, cause: InterruptCause) -> None:
        """Stop the reply; what was heard of it stays."""
        self.out.append(ev.Interrupt(live.id, cause))
        self.cut_short = CutShort(live.id, self.now, live.ends) if cause in {"words", "phrase"} else None
        if live.speaking:
            self.barge.cut(self.now)
        self.fall_silent(live)
        self.live = None

    def withdraw(self, live: Reply) -> None:
        """The caller goes on before the reply is heard: its words and the coming ones are one turn."""
        if not live.can_withdraw:
            return
        self.out.append(ev.Withdraw(live.id))
        self.live = None
        if live.kind == "reply":
            self.ear.put_back(live.pieces)
            self.utterance_from += len(live.pieces)
            self.turns -= 1
            self.replaces, self.owed = live.id, True
        if live.resumes is not None:
            self.cut_short = replace(live.resumes, at=self.now)

    def discard(self) -> None:
        """Throw the prepared reply away, if there is one."""
        if self.prepared is not None:
            self.out.append(ev.Discard(self.prepared.reply_id))
            self.prepared = None

    def end(self, reason: str) -> None:
        """The call is over."""
        self.discard()
        self.ended = True
        digits = f"DTMF: {self.digits}" if self.digits else ""
        self.out.append(ev.EndCall(reason, " ".join(filter(None, (self.ear.text, digits)))))

    # The caller's side

    @property
    def caller_goes_on(self) -> bool:
        """The caller is speaking or typing, or waits for an answer."""
        return self.open or self.owed or self.digit_at is not None

    @property
    def utterance(self) -> list[Piece]:
        """What was heard since the caller last paused."""
        standing = self.ear.interim
        return [*self.ear.pieces[self.utterance_from :], *([standing] if standing else [])]

    def utterance_over(self, ended_by: ev.TurnEndedBy) -> None:
        """The caller paused: what stands unconfirmed counts, and either asks for an answer or waits for more."""
        promoted = self.ear.promote()
        if promoted:
            self.out.append(ev.Note("promoted", promoted))
        self.open = self.eager = False
        words = join(self.utterance)
        self.utterance_from = len(self.ear.pieces)
        if words and self._answer_due(words):
            self.owed, self.ended_by, self.owed_since = True, ended_by, self.now

    def _answer_due(self, words: str) -> bool:
        live = self.live
        if live is None:
            if self.cut_short is None or not self.barge.shows_attention(words):
                return True
            self.out.append(ev.Note("backchannel", words))
            return False
        if live.speaking:
            due = self.barge.utterance_over() == "answer_due"
        else:
            due = live.heard or live.kind != "welcome" or count_words(words) >= self.barge.threshold
        self.out.append(ev.Note("held" if due else "backchannel", words))
        return due

    def digits_over(self) -> None:
        """The caller has typed enough: the digits are words of their turn."""
        self.discard()
        self.ear.add(f"DTMF: {self.digits or '#'}")
        self.digits, self.digit_at = "", None
        self.owed, self.ended_by = True, "dtmf"
        self.barge.demand()
        if not self.open:
            self.utterance_from = len(self.ear.pieces)
