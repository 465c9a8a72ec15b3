"""A caller who follows a script: what was heard and the time go in, what to do comes out. Pure.

Steps: {"say": text} · {"wait_for": text} · {"wait_for_silence_ms": n} · {"dtmf": "12#"} · {"pause_ms": n} ·
{"interrupt": {"after_words": n | "after_ms": n, "say": text}} · {"hang_up": true} · {"expect_hang_up": true} ·
{"faults": [document, …]} (armed at this moment, as `POST /sandbox/faults` would; the
carrier's strike this call); each may have "within_s". `wait_for_silence_ms` waits until something was heard, too; with
"patience_s" it goes on after so long a silence although nothing was. `wait_for` and `expect_hang_up` may have
{"if_asked": {"heard": [text, …], "say": text}}: so often as one of those is heard instead, this is said, as people
say it again.

More steps may be added while the call goes on. A caller with `idle_s` hangs up when no step was left for so long.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WITHIN_S: Final = 20.0
MAX_STEPS: Final = 500
MAX_ADDED: Final = 5_000
"""Steps of one call, those added while it goes on included."""
MAX_WAITING: Final = 100
"""Steps of a call that may wait for their turn when more are added."""
KINDS: Final = (
    "say",
    "wait_for",
    "wait_for_silence_ms",
    "interrupt",
    "dtmf",
    "pause_ms",
    "hang_up",
    "expect_hang_up",
    "faults",
)
_MORE: Final = {
    "wait_for_silence_ms": ("patience_s",),
    "wait_for": ("if_asked",),
    "expect_hang_up": ("if_asked",),
}
_PLAIN: Final = re.compile(r"[\W_]+")


class ScriptError(ValueError):
    """A script that cannot be followed."""


class TooManyStepsError(ScriptError):
    """Steps that cannot be added now."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, parsed."""

    kind: str
    value: Any
    within_ms: float
    patience_ms: float | None = None
    if_asked: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Speak."""

    text: str


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys."""

    digits: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Something breaks now."""

    faults: Sequence[dict[str, Any]]


Action = Say | Press | HangUp | Arm


@dataclass(frozen=True, slots=True)
class Moment:
    """What the caller perceives in one tick; ms since media began."""

    now_ms: float
    words: Sequence[str]
    assistant_audible: bool
    silence_ms: float
    speaking: bool


@dataclass(slots=True)
class StepOutcome:
    """How a step went."""

    step: str
    outcome: str = "running"
    began_ms: float = 0.0
    at_ms: float | None = None


@dataclass(slots=True)
class Caller:
    """Follows the steps; what it does, it does once."""

    steps: list[Step]
    idle_ms: float | None = None
    outcomes: list[StepOutcome] = field(default_factory=list)
    failed: str | None = None
    _at: int = 0
    _began_ms: float = 0.0
    _heard: str = ""
    _words: int = 0
    _audible_since_ms: float | None = None
    _heard_anything: bool = False
    _acted: bool = False
    _idle_since_ms: float = 0.0

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.failed is not None or self._at >= len(self.steps)

    def add(self, steps: Sequence[Step]) -> None:
        """These too, after all others. Raises: TooManyStepsError."""
        waiting = len(self.steps) - self._at
        if waiting + len(steps) > MAX_WAITING:
            raise TooManyStepsError(f"{waiting} steps wait already, {MAX_WAITING} may; add more when some are done")
        if len(self.steps) + len(steps) > MAX_ADDED:
            raise TooManyStepsError(f"a call has at most {MAX_ADDED} steps; place another call")
        self.steps.extend(steps)

    def tick(self, moment: Moment) -> list[Action]:
        """What to do now."""
        self._perceive(moment)
        if self.done:
            return self._idle(moment)
        actions: list[Action] = []
        while not self.done:
            step = self.steps[self._at]
            if not self._acted:
                self._begin(step, moment.now_ms)
            finished, doing = self._step(step, moment)
            actions += doing
            if finished:
                self._next(moment)
            elif moment.now_ms - self._began_ms > step.within_ms:
                self.failed = f"step {self._at + 1} ({step.kind}: {step.value}) took longer than {step.within_ms:g} ms"
                self.outcomes[-1].outcome = "overdue"
                actions.append(HangUp())
                break
            else:
                break
        return actions

    def line_dropped(self, now_ms: float) -> None:
        """The other side ended the call."""
        if self.done:
            return
        if self.steps[self._at].kind == "expect_hang_up":
            self._begin(self.steps[self._at], now_ms)  # the line may drop before anybody answered
            self.outcomes[-1].outcome, self.outcomes[-1].at_ms = "done", now_ms
            self._at += 1
        if self._at < len(self.steps):
            self.failed = f"the line dropped at step {self._at + 1} ({self.steps[self._at].kind})"

    def _idle(self, moment: Moment) -> list[Action]:
        """Nothing is to be done; a step that is added now begins now."""
        self._began_ms = moment.now_ms
        if self.idle_ms is None or self.failed is not None or moment.now_ms - self._idle_since_ms <= self.idle_ms:
            return []
        self.failed = f"nothing was left to do for {self.idle_ms / 1_000:g} s"
        return [HangUp()]

    def _begin(self, step: Step, now_ms: float) -> None:
        if len(self.outcomes) <= self._at:
            self.outcomes.append(StepOutcome(f"{step.kind}: {step.value}"[:200], began_ms=now_ms))

    def _perceive(self, moment: Moment) -> None:
        for word in moment.words:
            self._heard += _plain(word)
            self._words += 1
        if not moment.assistant_audible:
            self._audible_since_ms = None
        elif self._audible_since_ms is None:
            self._audible_since_ms = moment.now_ms
        self._heard_anything = self._heard_anything or moment.assistant_audible

    def _step(self, step: Step, moment: Moment) -> tuple[bool, list[Action]]:
        """Whether the step is over, and what it does now."""
        match step.kind:
            case "say":
                return self._act_and_wait([Say(step.value)], moment)
            case "wait_for":
                found = _plain(step.value) in self._heard
                return found, [] if found else self._asked(step, moment)
            case "wait_for_silence_ms":
                return self._is_quiet(step, moment), []
            case "interrupt":
                if self._acted or self._may_interrupt(step.value, moment):
                    return self._act_and_wait([Say(step.value["say"])], moment)
                return False, []
            case "dtmf":
                return True, [Press(step.value)]
            case "faults":
                return True, [Arm(step.value)]
            case "pause_ms":
                return moment.now_ms - self._began_ms >= step.value, []
            case "hang_up":
                return True, [HangUp()]
            case _:
                return False, self._asked(step, moment)

    def _asked(self, step: Step, moment: Moment) -> list[Action]:
        """What to say when something else was asked than what is waited for."""
        if step.if_asked is None or moment.assistant_audible:
            return []
        if not any(_plain(text) in self._heard for text in step.if_asked["heard"]):
            return []
        self._heard, self._words = "", 0
        return [Say(step.if_asked["say"])]

    def _is_quiet(self, step: Step, moment: Moment) -> bool:
        if self._heard_anything:
            return bool(moment.silence_ms >= step.value)
        waited_ms = min(moment.silence_ms, moment.now_ms - self._began_ms)
        return step.patience_ms is not None and waited_ms >= step.patience_ms

    def _act_and_wait(self, actions: list[Action], moment: Moment) -> tuple[bool, list[Action]]:
        if not self._acted:
            self._acted = True
            return False, actions
        return not moment.speaking, []

    def _may_interrupt(self, wanted: dict[str, Any], moment: Moment) -> bool:
        if not moment.assistant_audible or self._audible_since_ms is None:
            return False
        if "after_words" in wanted:
            return self._words >= int(wanted["after_words"])
        return moment.now_ms - self._audible_since_ms >= float(wanted.get("after_ms", 0))

    def _next(self, moment: Moment) -> None:
        self.outcomes[-1].outcome, self.outcomes[-1].at_ms = "done", moment.now_ms
        spoke = self.steps[self._at].kind in {"say", "interrupt"}
        self._at += 1
        self._began_ms = self._idle_since_ms = moment.now_ms
        self._acted = False
        if spoke or self.steps[self._at - 1].kind == "wait_for":
            self._heard, self._words = "", 0
        if spoke:
            self._heard_anything = False


def parse(script: Any) -> list[Step]:
    """The steps of a script. Raises: ScriptError."""
    if not isinstance(script, list) or len(script) > MAX_STEPS:
        raise ScriptError(f"script must be a list of at most {MAX_STEPS} steps")
    return [_step(number, raw) for number, raw in enumerate(script, 1)]


def _step(number: int, raw: Any) -> Step:
    kinds = [kind for kind in KINDS if isinstance(raw, dict) and kind in raw]
    if len(kinds) != 1 or set(raw) - {kinds[0], "within_s", *_MORE.get(kinds[0], ())}:
        raise ScriptError(f"step {number} must have exactly one of {', '.join(KINDS)}, and may have within_s")
    kind, value = kinds[0], raw[kinds[0]]
    if kind == "interrupt" and not (isinstance(value, dict) and isinstance(value.get("say"), str)):
        raise ScriptError(f"step {number}: interrupt needs say, and after_words or after_ms")
    if kind in {"say", "wait_for", "dtmf"} and not (isinstance(value, str) and value.strip()):
        raise ScriptError(f"step {number}: {kind} needs text")
    if kind == "faults" and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        raise ScriptError(f"step {number}: faults needs a list of faults")
    if kind in {"pause_ms", "wait_for_silence_ms"} and not (isinstance(value, int | float) and value >= 0):
        raise ScriptError(f"step {number}: {kind} needs milliseconds")
    if_asked = raw.get("if_asked")
    if if_asked is not None and not _is_question(if_asked):
        raise ScriptError(f"step {number}: if_asked needs heard, a list of texts, and say")
    within_s, patience_s = raw.get("within_s", WITHIN_S), raw.get("patience_s")
    for seconds in (within_s, 0 if patience_s is None else patience_s):
        if not isinstance(seconds, int | float) or seconds < 0:
            raise ScriptError(f"step {number}: within_s and patience_s are seconds")
    return Step(kind, value, within_s * 1_000, None if patience_s is None else patience_s * 1_000, if_asked)


def _is_question(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"heard", "say"} or not isinstance(value["heard"], list):
        return False
    texts = [value["say"], *value["heard"]]
    return len(texts) > 1 and all(isinstance(text, str) and _plain(text) for text in texts)


def _plain(text: str) -> str:
    return _PLAIN.sub("", text).lower()
