"""The rules of turn taking: when each is due on the call's clock, and what it does then. All read one state."""

from collections.abc import Callable
from dataclasses import dataclass

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.hearing import WINDOW_SLACK_MS, count_words, join, same_words
from calliope_call_worker.pipeline.turn_state import Closing, TurnState
from calliope_call_worker.pipeline.unfinished import is_dictating, is_unfinished

AT_ONCE = float("-inf")


@dataclass(frozen=True, slots=True)
class Rule:
    """`due` says from when on the rule applies, None: as things are, never. `fire` takes that condition away."""

    due: Callable[[TurnState], float | None]
    fire: Callable[[TurnState], None]


def call_too_long_due(s: TurnState) -> float | None:
    """The call reached its maximum length."""
    if s.settings.max_call_s is None or s.started_at is None or (s.closing is not None and s.closing.urgent):
        return None
    return s.started_at + s.settings.max_call_s


def call_too_long(s: TurnState) -> None:
    """Close, without waiting for the assistant to finish."""
    s.closing = Closing("max_duration", s.now, say=True, urgent=True)


def closing_due(s: TurnState) -> float | None:
    """The call is to end: now, or when the assistant's last words (or an effect in flight) have had their time."""
    if s.closing is None or s.said_goodbye:
        return None
    if s.live is None:
        return AT_ONCE
    if s.closing.urgent:
        return s.closing.since + s.settings.tool_grace_s if s.live.tools else AT_ONCE
    return s.closing.since + s.settings.last_words_s


def close(s: TurnState) -> None:
    """Say goodbye, or drop the line."""
    if s.closing is None:
        return
    s.said_goodbye = True
    s.discard()
    if s.live is not None and s.live.kind == "goodbye":
        s.live.firm, s.live.ends = True, s.closing.reason
        return
    if s.live is not None:
        s.cut(s.live, "max_duration" if s.closing.urgent else "stalled")
    if s.closing.say:
        say_goodbye(s, s.closing.reason, firm=True)
    else:
        s.end(s.closing.reason)


def say_goodbye(s: TurnState, reason: str, *, firm: bool) -> None:
    """The line drops when this was heard; a goodbye that is not firm gives way to a caller who speaks."""
    goodbye = s.start_reply("goodbye")
    goodbye.firm, goodbye.ends = firm, reason
    s.out.append(ev.SayGoodbye(goodbye.id, reason))


def goodbye_due(s: TurnState) -> float | None:
    """A goodbye takes too long."""
    if s.live is None or s.live.kind != "goodbye":
        return None
    return s.live.since + s.settings.goodbye_ceiling_s


def give_up_goodbye(s: TurnState) -> None:
    """Drop the line all the same."""
    if s.live is not None:
        s.end(s.live.ends)


def digits_due(s: TurnState) -> float | None:
    """No further key for a while."""
    return None if s.digit_at is None else s.digit_at + s.settings.dtmf_timeout_s


def pause_due(s: TurnState) -> float | None:
    """The recogniser does not say that the caller paused, and no further word comes."""
    if not s.open:
        return None
    return s.heard_at + (s.settings.end_of_turn_s if s.ear.interim is None else s.settings.interim_ceiling_s)


def pause(s: TurnState) -> None:
    """Take it as the end of the utterance."""
    s.utterance_over("timer" if s.ear.interim is None else "ceiling")


def barge_in_due(s: TurnState) -> float | None:
    """Enough words stand against a reply that is being heard."""
    return s.barge.due if s.live is not None and s.live.can_be_cut and s.closing is None else None


def barge_in(s: TurnState) -> None:
    """Cut it short; the words wait for the end of the caller's turn."""
    if s.live is not None:
        s.cut(s.live, "phrase" if s.barge.by_phrase else "words")


def commit_due(s: TurnState) -> float | None:
    """The caller's turn is over and nothing stands in the way of an answer."""
    waits = s.owed and not s.open and s.digit_at is None and s.closing is None and s.ear.pieces
    if not waits or not (s.live is None or s.live.can_supersede):
        return None
    if s.ended_by in {"dtmf", "resumed"} or not is_unfinished(s.ear.text, s.settings.language):
        return AT_ONCE
    return s.owed_since + s.settings.unfinished_wait_s


def commit(s: TurnState) -> None:
    """Answer, with the prepared reply if it was made for these words."""
    if s.live is not None:
        s.cut(s.live, "superseded")
    pieces = s.ear.take()
    text = join(pieces)
    if s.prepared is not None and not same_words(s.prepared.text, text):
        s.discard()
    prepared, s.prepared = s.prepared, None
    s.turns += 1
    reply = s.start_reply("reply", reply_id=prepared.reply_id if prepared else None, pieces=pieces)
    s.out.append(ev.Commit(reply.id, s.turns, text, s.ended_by, prepared=prepared is not None, replaces=s.replaces))
    reply.heard, s.answer_heard = s.answer_heard, False
    s.owed, s.replaces, s.preparations, s.utterance_from = False, None, 0, 0


def stalled_due(s: TurnState) -> float | None:
    """A reply that nobody hears, though nothing holds it up."""
    if s.live is None or s.live.speaking or s.live.tools or s.live.kind == "goodbye":
        return None
    return s.live.quiet_since + s.settings.think_ceiling_s


def give_up_reply(s: TurnState) -> None:
    """Go on without it."""
    if s.live is not None:
        s.cut(s.live, "stalled")


def prepare_due(s: TurnState) -> float | None:
    """The caller is quiet, the words reach up to the silence and look finished: they are probably all."""
    after_s, spent = s.settings.prepare_after_s, s.preparations >= s.settings.max_preparations
    free = s.live is None and s.prepared is None and s.closing is None and s.digit_at is None
    if after_s is None or spent or not (free and s.open):
        return None
    if s.eager:
        at = AT_ONCE
    elif s.quiet_since is not None and not s.settings.eager_recogniser and _heard_to_the_silence(s):
        at = s.quiet_since + after_s
    else:
        return None
    return None if _may_go_on(s) else at


def _heard_to_the_silence(s: TurnState) -> bool:
    """Whether the recogniser has told what was said until the caller fell silent, and heard what follows it."""
    settled_ms = s.settings.settled_ms if s.ear.interim is not None else -WINDOW_SLACK_MS
    return s.transcribed_ms is None or s.transcribed_ms >= s.voiced_until_ms + settled_ms


def _may_go_on(s: TurnState) -> bool:
    """Whether there are too few words to trust, or they lead on to others."""
    text = s.ear.text
    if not text:
        return True
    few = s.ear.interim is not None and not s.eager and count_words(text) < s.settings.prepare_min_words
    return few or is_dictating(text) or is_unfinished(text, s.settings.language)


def prepare(s: TurnState) -> None:
    """Think ahead."""
    s.preparations += 1
    s.prepared = ev.Prepare(s.next_id(), s.ear.text)
    s.out.append(s.prepared)


def go_on_due(s: TurnState) -> float | None:
    """Of the words that interrupted the assistant nothing is left: they were a noise, or were only attention.

    While the caller is loud, words may be on their way: they are waited for as long as for an interim.
    """
    after_s, nothing_left = s.settings.false_interruption_s, not s.ear.text if s.open else not s.owed
    busy = s.live is not None or s.closing is not None or s.digit_at is not None
    if s.cut_short is None or after_s is None or busy or not nothing_left:
        return None
    return s.cut_short.at + after_s + (s.settings.interim_ceiling_s if s.voiced else 0.0)


def go_on(s: TurnState) -> None:
    """Say the rest, from the sentence that was cut."""
    if s.cut_short is not None:
        cut = s.cut_short
        s.open = False
        reply = s.start_reply("resume")
        reply.ends, reply.resumes = cut.ends, cut
        s.out.append(ev.GoOn(reply.id, cut.reply_id))


def ask_to_repeat_due(s: TurnState) -> float | None:
    """Nobody has spoken since another worker left the call, as far as was heard, nor is the caller owed anything.

    While the caller is loud, or was and the recogniser has not told of it, words may be on their way: they are waited
    for as long as for an interim.
    """
    after_s, busy = s.settings.ask_to_repeat_s, s.live is not None or s.closing is not None or s.caller_goes_on
    if not s.words_missed or after_s is None or busy:
        return None
    spoke = s.voiced_until_ms > 0
    quiet_since = s.unheard_since if s.quiet_since is None or not spoke else s.quiet_since
    untold = spoke and (s.transcribed_ms is None or s.transcribed_ms < s.voiced_until_ms)
    at = max(quiet_since + after_s, s.listening_since + s.settings.listen_first_s)
    return at + (s.settings.interim_ceiling_s if s.voiced or untold else 0.0)


def ask_to_repeat(s: TurnState) -> None:
    """Ask once for the words that nobody heard."""
    s.out.append(ev.AskToRepeat(s.start_reply("ask_to_repeat").id))


def idle_due(s: TurnState) -> float | None:
    """Nobody speaks, thinks or types."""
    busy = s.live is not None or s.closing is not None or s.caller_goes_on
    if busy or not s.settings.idle_timeout_s or s.started_at is None:
        return None
    return s.silence_since + s.settings.idle_timeout_s


def ask_idle(s: TurnState) -> None:
    """Ask for the caller, a few times in a row; then say goodbye."""
    most = s.settings.max_idle_messages
    if most is not None and s.idle_count >= most:
        say_goodbye(s, "idle", firm=False)
        return
    s.idle_count += 1
    s.out.append(ev.SayIdle(s.start_reply("idle").id, s.idle_count))


RULES = (
    Rule(call_too_long_due, call_too_long),
    Rule(closing_due, close),
    Rule(goodbye_due, give_up_goodbye),
    Rule(digits_due, TurnState.digits_over),
    Rule(pause_due, pause),
    Rule(barge_in_due, barge_in),
    Rule(commit_due, commit),
    Rule(stalled_due, give_up_reply),
    Rule(prepare_due, prepare),
    Rule(go_on_due, go_on),
    Rule(ask_to_repeat_due, ask_to_repeat),
    Rule(idle_due, ask_idle),
)
"""In the order in which they are asked."""
