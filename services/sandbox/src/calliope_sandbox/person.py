"""A person on the phone: an ear that decodes what is played, a mouth with something to say, and a script to follow.

Every `FRAME_MS` the line gives what was played and takes what was said. Nothing here waits; `now_ms` counts since the
call was answered.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_sandbox.callers import Arm, Caller, HangUp, Moment, Press, Say, Step
from calliope_sandbox.tone_speech import SILENCE, HeardWord, Listener, is_silence, speak

FRAME_MS: Final = 20
FRAME_BYTES: Final = 160
LINE_GAP_MS: Final = 700.0
"""So much silence of a side ends a line of the talk."""
CUT_GAP_MS: Final = 100.0
"""As above, after the carrier was told to drop the rest."""
AUDIBLE_MS: Final = 200.0
"""The other side counts as speaking until so long after its last sound; words have gaps."""
LAST_FRAMES: Final = 3
"""Of silence, by which the ear knows that a word is over."""
MAX_LINES: Final = 2_000
_QUIET: Final = bytes([SILENCE]) * FRAME_BYTES


@dataclass(slots=True)
class Line:
    """Some words of one side, as they were said or heard; ms since the call was answered."""

    side: str
    text: str
    start_ms: float
    end_ms: float
    interrupted: bool = False

    def told(self) -> dict[str, Any]:
        """For a listener who reads along."""
        return {
            "type": "line",
            "side": self.side,
            "text": self.text,
            "start_ms": round(self.start_ms, 1),
            "end_ms": round(self.end_ms, 1),
            "interrupted": self.interrupted,
        }


@dataclass(frozen=True, slots=True)
class Tick:
    """What the person does in one frame: 20 ms of audio, keys, whether the phone is put down, and what breaks."""

    audio: bytes
    voiced: bool
    digits: str = ""
    hangs_up: bool = False
    faults: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Person:
    """One caller. `deaf`: only whether something sounds is heard, not what; cheaper for many calls at once.

    `idle_ms`: the phone is put down when nothing was left to do for so long.
    """

    steps: list[Step]
    char_ms: int = 60
    deaf: bool = False
    idle_ms: float | None = None
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    heard: list[HeardWord] = field(default_factory=list)
    caller: Caller = field(init=False)
    _ear: Listener = field(default_factory=Listener)
    _mouth: deque[bytes] = field(default_factory=deque)
    _saying: Line | None = None
    _hearing: Line | None = None
    _last_sound_ms: float = float("-inf")
    _sound_since_ms: float | None = None

    def __post_init__(self) -> None:
        self.caller = Caller(self.steps, self.idle_ms)

    @property
    def saying(self) -> str | None:
        """What is being said now."""
        return self._saying.text if self._saying is not None else None

    @property
    def saying_for_ms(self) -> float | None:
        """How much of it was said so far."""
        return self._saying.end_ms - self._saying.start_ms if self._saying is not None else None

    @property
    def open_since_ms(self) -> float | None:
        """When the oldest line began that is not over yet; also when none of its words was understood so far."""
        begun = [line.start_ms for line in (self._saying, self._hearing) if line is not None]
        if self._sound_since_ms is not None:
            begun.append(self._sound_since_ms)
        return min(begun, default=None)

    def cut(self) -> None:
        """The carrier drops the rest of what was to be heard."""
        if self._hearing is not None:
            self._hearing.interrupted = True

    def tick(self, now_ms: float, played: bytes) -> tuple[Tick, list[Line]]:
        """Hear a frame, say a frame. Lines that ended with it come too."""
        words = self._listen(now_ms, played)
        ended = self._end_lines(now_ms)
        moment = Moment(
            now_ms=now_ms,
            words=[word.text for word in words],
            assistant_audible=now_ms - self._last_sound_ms < AUDIBLE_MS,
            silence_ms=now_ms - self._last_sound_ms,
            speaking=bool(self._mouth),
        )
        digits, hangs_up, faults = "", False, list[dict[str, Any]]()
        for action in self.caller.tick(moment):
            match action:
                case Say(text):
                    self._say(text, now_ms)
                case Press(keys):
                    digits += keys
                case HangUp():
                    hangs_up = True
                case Arm(wanted):
                    faults += wanted
        frame = self._mouth.popleft() if self._mouth else _QUIET
        voiced = frame is not _QUIET and not is_silence(frame)
        if voiced and self._saying is not None:
            self._saying.end_ms = now_ms + FRAME_MS
        return Tick(frame, voiced, digits, hangs_up, tuple(faults)), ended

    def finish(self, now_ms: float) -> list[Line]:
        """The line is dead: what was being said or heard ends here."""
        for frame in range(LAST_FRAMES):
            self._listen(now_ms + frame * FRAME_MS, _QUIET)
        self.caller.line_dropped(now_ms)
        ended = [line for line in (self._saying, self._hearing) if line is not None and line.text]
        self._saying = self._hearing = self._sound_since_ms = None
        self._mouth.clear()
        self.lines.extend(ended)
        return ended

    def _listen(self, now_ms: float, played: bytes) -> list[HeardWord]:
        if not is_silence(played):
            self._last_sound_ms = now_ms
            self._sound_since_ms = now_ms if self._sound_since_ms is None else self._sound_since_ms
        elif self.deaf:
            return []
        if self.deaf:
            return []
        words = self._ear.feed(played)
        shift_ms = now_ms + FRAME_MS - self._ear.position_ms
        for word in words:
            self.heard.append(HeardWord(word.text, word.start_ms + shift_ms, word.end_ms + shift_ms))
            self._hear(self.heard[-1])
        return words

    def _hear(self, word: HeardWord) -> None:
        if self._hearing is None:
            self._hearing = Line("assistant", word.text, word.start_ms, word.end_ms)
        else:
            self._hearing.text += f" {word.text}"
            self._hearing.end_ms = word.end_ms

    def _say(self, text: str, now_ms: float) -> None:
        audio = speak(text, char_ms=self.char_ms).audio
        self._mouth.extend(
            audio[at : at + FRAME_BYTES].ljust(FRAME_BYTES, bytes([SILENCE]))
            for at in range(0, len(audio), FRAME_BYTES)
        )
        self._saying = Line("caller", text, now_ms, now_ms)

    def _end_lines(self, now_ms: float) -> list[Line]:
        ended: list[Line] = []
        gap_ms = CUT_GAP_MS if self._hearing is not None and self._hearing.interrupted else LINE_GAP_MS
        if self._hearing is not None and now_ms - self._last_sound_ms > gap_ms:
            ended.append(self._hearing)
            self._hearing = None
        if now_ms - self._last_sound_ms > gap_ms:
            self._sound_since_ms = None
        if self._saying is not None and not self._mouth:
            ended.append(self._saying)
            self._saying = None
        self.lines.extend(ended)
        return ended
