"""Words of turn taking: what the turn machine is told (inputs) and what it answers (decisions). Holds no behaviour."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The media stream is open. A call taken over says how far it was, and which words nobody had answered.

    `words_missed`: the caller may have spoken while nobody listened, which was so for `unheard_s` before. `goes_on`: a
    line was being said that answers nobody, and has a rest. `answer_heard`: the beginning of an answer to `unanswered`
    was heard.
    """

    welcome: bool = True
    elapsed_s: float = 0.0
    turns: int = 0
    replies: int = 0
    unanswered: str = ""
    words_missed: bool = False
    unheard_s: float = 0.0
    goes_on: bool = False
    answer_heard: bool = False


@dataclass(frozen=True, slots=True)
class Interim:
    """What the recogniser hears so far in a window of the caller's audio; replaced by whatever comes next for it.

    `audio_ms` is how much caller audio was received when this arrived: with `word_starts_ms` it places words in time.
    `eager`: the recogniser believes that the turn is over, but may take it back.
    """

    text: str
    start_ms: float | None = None
    end_ms: float | None = None
    word_starts_ms: tuple[float, ...] = ()
    audio_ms: float | None = None
    eager: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """Words of a window that will not change; `speech_final` ends the caller's turn, with or without text."""

    text: str
    start_ms: float | None = None
    end_ms: float | None = None
    word_starts_ms: tuple[float, ...] = ()
    audio_ms: float | None = None
    speech_final: bool = False


@dataclass(frozen=True, slots=True)
class UtteranceEnd:
    """The recogniser heard no word for a while; may repeat what `speech_final` said."""

    last_word_end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The recogniser takes an `eager` interim back: the caller goes on."""


@dataclass(frozen=True, slots=True)
class VoiceStopped:
    """The caller's audio is quiet: since the position `voiced_until_ms` of it, `quiet_s` before this was noticed."""

    voiced_until_ms: float
    quiet_s: float


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """The caller's audio holds a voice, or a noise as loud."""


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The caller begins to hear this reply, or hears it again after `ReplyPaused`."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ReplyPaused:
    """All audio sent so far was played, and more is to come (a tool runs, the model thinks on)."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The reply was played to its last mark, or had nothing to play."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The reply ended without a way to go on; what was to be said instead was said as part of it."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class ToolsRunning:
    """An effect of this reply is about to begin, or the last one has ended."""

    reply_id: str
    running: bool


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The assistant ends the call: after what it is saying now, a goodbye when `say`, then the line drops."""

    reason: str
    say: bool = True


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The line is gone."""

    reason: str = "caller_hung_up"


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: sent when the machine's deadline has come."""


Input = (
    MediaStarted
    | Interim
    | Final
    | UtteranceEnd
    | TurnResumed
    | VoiceStopped
    | VoiceStarted
    | ReplyAudible
    | ReplyPaused
    | ReplyDone
    | ReplyFailed
    | ToolsRunning
    | EndRequested
    | Dtmf
    | HungUp
    | Tick
)

TurnEndedBy = Literal["speech_final", "utterance_end", "timer", "ceiling", "dtmf", "resumed"]


@dataclass(frozen=True, slots=True)
class SayWelcome:
    """Speak the welcome message."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """Think about a reply to words that may still change: no tool, no history, nothing audible."""

    reply_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Throw the prepared reply away."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Commit:
    """The caller's turn is over: answer `text`, with the prepared reply of this id when `prepared`.

    `replaces` is a withdrawn reply whose turn is part of this text; its turn number is used again.
    """

    reply_id: str
    turn: int
    text: str
    ended_by: TurnEndedBy
    prepared: bool = False
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody heard this reply and the caller goes on: stop it; its turn comes back as part of a later commit."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop this reply: model, voice, then the carrier's buffer; what was heard of it stays history."""

    reply_id: str
    cause: Literal["words", "phrase", "dtmf", "superseded", "stalled", "max_duration"]


@dataclass(frozen=True, slots=True)
class GoOn:
    """The interruption of `cut_reply_id` was none: say that reply again, from the sentence in which it was cut."""

    reply_id: str
    cut_reply_id: str


@dataclass(frozen=True, slots=True)
class SayIdle:
    """Ask whether the caller is still there, for the n-th time in a row."""

    reply_id: str
    n: int


@dataclass(frozen=True, slots=True)
class AskToRepeat:
    """Ask the caller to say again what may have been lost while nobody listened."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """Speak the goodbye that belongs to this reason."""

    reply_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """Drop the line; nothing is decided after this. `unanswered` are words of the caller that no turn holds."""

    reason: str
    unanswered: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """For the journal only."""

    kind: Literal["backchannel", "promoted", "held"]
    text: str


Decision = (
    SayWelcome
    | Prepare
    | Discard
    | Commit
    | Withdraw
    | Interrupt
    | GoOn
    | SayIdle
    | AskToRepeat
    | SayGoodbye
    | EndCall
    | Note
)
