"""How patient a call is: every limit that turn taking knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """Limits of one call; seconds unless the name says otherwise."""

    interruption_threshold: int = 3
    """Words of the caller that interrupt."""
    interrupt_phrases: tuple[str, ...] | None = None
    """Interrupt whatever their number of words; None: those of `language`."""
    ignore_phrases: tuple[str, ...] | None = None
    """Never interrupt, and are not answered on their own; None: those of `language`."""
    min_speaking_time_s: float = 0.5
    interruption_cooldown_s: float = 2.0
    false_interruption_s: float | None = 1.5
    """An interruption of which no words are left by then was none, and the assistant goes on; None: it does not."""
    ask_to_repeat_s: float | None = 1.5
    """Silence of both sides in a call taken over, before the caller is asked for words that were lost; None: never.

    The time in which nobody listened counts, too."""
    listen_first_s: float = 0.8
    """So long such a caller is listened to at least: words that began while nobody listened may go on."""
    idle_timeout_s: float | None = None
    """Silence before an idle message; None or 0: never."""
    max_idle_messages: int | None = 3
    """Idle messages in a row before the goodbye; 0: goodbye at once, None: never a goodbye."""
    end_of_turn_s: float = 1.5
    """After the last final, when the recogniser does not say that the turn is over."""
    interim_ceiling_s: float = 3.0
    """After the last change of an interim that is never finalised."""
    prepare_after_s: float | None = 0.12
    """A caller quiet for so long may have finished: a reply is prepared; None: never."""
    eager_recogniser: bool = False
    """The recogniser says itself when a turn is probably over; its word counts, silence does not."""
    settled_ms: float = 50.0
    """Words that may still change are trusted when the recogniser heard so much silence behind them."""
    unfinished_wait_s: float = 0.6
    """How long an answer waits for more words when the last ones lead on to others."""
    prepare_min_words: int = 2
    """Fewer words that may still change are not worth a request."""
    max_preparations: int = 1
    """Prepared replies of one turn: each costs a model request."""
    language: str = ""
    """Of the caller, as by `unfinished.language_of`; empty: not known."""
    max_call_s: float | None = 3_600.0
    tool_grace_s: float = 10.0
    """How long an effect in flight may hold up the end of the longest call."""
    think_ceiling_s: float = 30.0
    """A reply that nobody hears by then is given up; providers have shorter deadlines of their own."""
    goodbye_ceiling_s: float = 15.0
    """A goodbye not heard to its end by then has been heard enough."""
    last_words_s: float = 60.0
    """How long a reply may go on speaking after the assistant decided to end the call."""
    dtmf_timeout_s: float = 2.0
    max_digits: int = 64
