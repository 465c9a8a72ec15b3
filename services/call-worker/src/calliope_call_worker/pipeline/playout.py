"""What the caller heard: a model of the carrier's buffer, corrected by marks that come back. Pure; `now` in seconds.

The carrier plays what it was sent in order, in real time, beginning when audio reaches its empty buffer. Times of this
model are those of sending: the way there delays audio and a later `clear` alike, so it drops out of "played by now".
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from calliope_call_worker.pipeline.heard import CHAR_MS, Heard, Span, Timeline, heard_text

BYTES_PER_MS = 8.0
"""μ-law at 8 kHz."""
ECHO_SLACK_S = 0.1
"""Marks may be this much slower than the fastest one before they prove that playing is late."""
STANDS_STILL_S = 0.5
"""Overdue for longer, without a later mark instead: the carrier does not play, rather than that a mark was lost."""
PACE_FROM_CHARS = 20
LONGEST_ECHO_S = 1.0
"""What is assumed of the echo until a first mark has come back."""


@dataclass(slots=True)
class _Run:
    """Audio of one reply played without a break: it begins at `begins_at`, or `late_s` after that."""

    from_ms: float
    to_ms: float
    begins_at: float
    late_s: float = 0.0

    @property
    def ends_at(self) -> float:
        return self.begins_at + (self.to_ms - self.from_ms) / 1_000

    def played_ms(self, now: float) -> float:
        return min(self.to_ms, self.from_ms + (now - self.begins_at - self.late_s) * 1_000)


@dataclass(slots=True)
class _Mark:
    name: str
    reply_id: str
    position_ms: float
    run: _Run
    passed_at: float  # when the audio before it ends, if playing is not late
    sent_at: float

    @property
    def due_at(self) -> float:
        return max(self.passed_at, self.sent_at)


@dataclass(slots=True)
class _Reply:
    runs: list[_Run] = field(default_factory=list)
    text: Timeline = field(default_factory=Timeline)
    sent_ms: float = 0.0
    confirmed_ms: float = 0.0
    marks: int = 0
    complete: bool = False
    frozen_ms: float | None = None


def _played_at(runs: Sequence[_Run], position_ms: float, now: float) -> float:
    """When that position of a reply is played; what is not sent yet goes out without a break."""
    for run in runs:
        if position_ms < run.to_ms:
            return run.begins_at + run.late_s + max(0.0, position_ms - run.from_ms) / 1_000
    last = runs[-1]
    return max(now, last.ends_at + last.late_s) + (position_ms - last.to_ms) / 1_000


class Playout:
    """The carrier's buffer of one media stream, and where in it each reply is."""

    def __init__(self) -> None:
        self._replies: dict[str, _Reply] = {}
        self._pending: deque[_Mark] = deque()
        self._last: _Run | None = None
        self._echo_s: float | None = None
        self._char_ms = CHAR_MS
        self._probes = 0

    # What was done

    def said(self, reply_id: str, text: str) -> None:
        """This text was given to the voice, after what was given before."""
        self._reply(reply_id).text.say(text)

    def timed(self, reply_id: str, spans: Iterable[Span]) -> None:
        """Where the next pieces of the text are in the reply's audio; joined they follow the text said."""
        self._reply(reply_id).text.time(spans)

    def sent(self, reply_id: str, audio_bytes: int, now: float) -> None:
        """Audio of this reply went to the carrier. What comes after a clear of the same reply is not counted."""
        reply = self._reply(reply_id)
        if audio_bytes <= 0 or reply.frozen_ms is not None:
            return
        length_ms = audio_bytes / BYTES_PER_MS
        last = self._last
        if last is not None and reply.runs and reply.runs[-1] is last and last.ends_at + last.late_s >= now:
            last.to_ms += length_ms
        else:
            begins_at = now if last is None else max(now, last.ends_at)
            late_s = 0.0 if last is None else max(0.0, last.ends_at + last.late_s - begins_at)
            self._last = _Run(reply.sent_ms, reply.sent_ms + length_ms, begins_at, late_s)
            reply.runs.append(self._last)
        reply.sent_ms += length_ms

    def mark(self, reply_id: str, now: float) -> str | None:
        """Name of the mark to send now; None while nothing of this reply can come back."""
        reply = self._reply(reply_id)
        run = self._last
        if run is None or not reply.runs or reply.frozen_ms is not None:
            return None
        reply.marks += 1
        name = f"{reply_id}:{reply.marks}"
        self._pending.append(_Mark(name, reply_id, reply.sent_ms, run, run.ends_at, sent_at=now))
        return name

    def probe(self, now: float) -> str:
        """Name of a mark to send behind everything; it proves what the marks that are still out would have proved."""
        self._probes += 1
        name = f"probe:{self._probes}"
        if self._pending:
            last = self._pending[-1]
            self._pending.append(replace(last, name=name, sent_at=now))
        return name

    def completed(self, reply_id: str) -> None:
        """All text of this reply became audio, and all of it was sent."""
        reply = self._reply(reply_id)
        reply.complete = True
        if len(reply.text.text) >= PACE_FROM_CHARS and reply.sent_ms > 0:
            self._char_ms = reply.sent_ms / len(reply.text.text)

    def mark_returned(self, name: str, now: float) -> None:
        """A mark came back. One unknown, repeated, or returned by a clear proves nothing."""
        if all(mark.name != name for mark in self._pending):
            return
        while self._pending:
            mark = self._pending.popleft()
            reply = self._reply(mark.reply_id)
            reply.confirmed_ms = max(reply.confirmed_ms, mark.position_ms)
            if mark.name == name:
                self._correct(mark, now)
                return

    def cleared(self, now: float) -> None:
        """The carrier was told to drop its buffer: what is not played by now never will be."""
        for reply_id, reply in self._replies.items():
            if reply.frozen_ms is None and not self.is_played(reply_id):
                reply.frozen_ms = self.played_ms(reply_id, now)
        self._pending.clear()
        self._last = None

    def lost(self, now: float) -> None:
        """The carrier is gone. Where a mark stayed away, playing ended before it: half way from the last that came.

        On a stream of which no mark ever came back, nothing was heard.
        """
        for reply_id, reply in self._replies.items():
            if reply.frozen_ms is None and not self.is_played(reply_id):
                reply.frozen_ms = self._played_before_loss_ms(reply_id, now)
        self._pending.clear()
        self._last = None

    def forget(self, reply_id: str) -> None:
        """Nothing will be asked about this reply any more."""
        self._replies.pop(reply_id, None)
        self._pending = deque(mark for mark in self._pending if mark.reply_id != reply_id)

    # What follows from it

    def played_ms(self, reply_id: str, now: float) -> float:
        """How much of the reply was played: as marks prove, as the clock says, never more than was sent."""
        reply = self._replies.get(reply_id)
        if reply is None or not reply.runs:
            return 0.0
        if reply.frozen_ms is not None:
            return reply.frozen_ms
        begun = [run for run in reply.runs if run.begins_at + run.late_s <= now]
        by_clock = max(0.0, begun[-1].played_ms(now)) if begun else 0.0
        return max(reply.confirmed_ms, min(by_clock, self._unproven_limit(reply_id, now)))

    def heard(self, reply_id: str, now: float, *, whole_words: bool = False) -> Heard:
        """What of the reply's text was heard, to the word; see `heard_text`."""
        reply = self._replies.get(reply_id)
        if reply is None:
            return Heard("nothing", "", 0.0)
        return heard_text(
            reply.text,
            self.played_ms(reply_id, now),
            reply.sent_ms,
            complete=reply.complete,
            char_ms=self._char_ms,
            whole_words=whole_words,
        )

    def ahead(self, reply_id: str, now: float, more_ms: float = 0.0) -> tuple[int, list[tuple[int, float]]]:
        """How many characters were heard, and of each word after them: the characters up to its end, when it is heard.

        `more_ms`: so much audio is about to be sent behind what was sent. A word counts when it was played to its end,
        and news of that could be here. Words behind a pause have no time yet.
        """
        reply = self._replies.get(reply_id)
        if reply is None or not reply.runs or reply.frozen_ms is not None:
            return 0, []
        played_ms, run = self.played_ms(reply_id, now), reply.runs[-1]
        goes_on = more_ms > 0 or run.ends_at + run.late_s > now
        words = reply.text.words(reply.sent_ms + more_ms, complete=reply.complete, char_ms=self._char_ms)
        heard, ahead = 0, list[tuple[int, float]]()
        for end, _, end_ms in words:
            if not ahead and end_ms <= played_ms:
                heard = end
            elif goes_on or end_ms <= run.to_ms:
                ahead.append((end, _played_at(reply.runs, end_ms, now) + (self._echo_s or 0.0)))
        return heard, ahead

    def is_played(self, reply_id: str) -> bool:
        """Whether marks prove that all audio sent was played."""
        reply = self._replies.get(reply_id)
        return reply is not None and reply.confirmed_ms >= reply.sent_ms

    def audible_at(self, reply_id: str) -> float | None:
        """When the reply's first audio is played; None before any was sent."""
        reply = self._replies.get(reply_id)
        return reply.runs[0].begins_at + reply.runs[0].late_s if reply and reply.runs else None

    def ends_at(self, reply_id: str) -> float | None:
        """When what was sent of the reply will have been played."""
        reply = self._replies.get(reply_id)
        return reply.runs[-1].ends_at + reply.runs[-1].late_s if reply and reply.runs else None

    def told_at(self, reply_id: str) -> float | None:
        """When news could be here that all of the reply which was sent was played."""
        ends_at = self.ends_at(reply_id)
        return None if ends_at is None else ends_at + (self._echo_s or 0.0)

    def buffered_s(self, now: float) -> float:
        """Seconds of audio that the carrier has not played: what pacing keeps small."""
        return 0.0 if self._last is None else max(0.0, self._last.ends_at + self._last.late_s - now)

    @property
    def echo_s(self) -> float:
        """The way to the carrier and back: the fastest echo seen; before the first one, a long one."""
        return LONGEST_ECHO_S if self._echo_s is None else self._echo_s

    @property
    def proved(self) -> bool:
        """Whether a mark has come back of something that was played."""
        return self._echo_s is not None

    def _reply(self, reply_id: str) -> _Reply:
        return self._replies.setdefault(reply_id, _Reply())

    def _correct(self, mark: _Mark, now: float) -> None:
        """A slower echo than the fastest means that playing is late by the difference; the last one is believed."""
        echo_s = max(0.0, now - mark.due_at)
        self._echo_s = echo_s if self._echo_s is None else min(self._echo_s, echo_s)
        late_s = max(0.0, now - self._echo_s - mark.passed_at)
        sent_while_playing = mark.sent_at <= mark.passed_at
        mark.run.late_s = late_s if sent_while_playing else min(mark.run.late_s, late_s)

    def _overdue(self, now: float) -> Iterator[_Mark]:
        """Marks that should have come back by now, oldest first."""
        within_s = self.echo_s + ECHO_SLACK_S
        return (mark for mark in self._pending if now > mark.due_at + mark.run.late_s + within_s)

    def _unproven_limit(self, reply_id: str, now: float) -> float:
        """A mark that should have come back has not been passed: no more than its way back is played behind it.

        One that has stayed away for long was not reached: playing stands still before it, half way from the last one.
        """
        missing = next((mark for mark in self._overdue(now) if mark.reply_id == reply_id), None)
        if missing is None:
            return float("inf")
        if next(self._overdue(now - STANDS_STILL_S), None) is not None:
            return (self._reply(reply_id).confirmed_ms + missing.position_ms) / 2
        return missing.position_ms + (self.echo_s + ECHO_SLACK_S) * 1_000

    def _played_before_loss_ms(self, reply_id: str, now: float) -> float:
        missing, by_clock_ms = next(self._overdue(now), None), self.played_ms(reply_id, now)
        if missing is None:
            return by_clock_ms
        confirmed_ms = self._reply(reply_id).confirmed_ms
        if missing.reply_id != reply_id or not self.proved:
            return confirmed_ms
        return min(by_clock_ms, (confirmed_ms + missing.position_ms) / 2)
