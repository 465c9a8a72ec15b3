"""What holds for turn taking whatever happens, in whatever order."""

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.replay import record, replay, settings_record
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["speak"] * 6
            + ["final"] * 3
            + ["speech_final"] * 4
            + ["again", "stale_interim", "utterance_end", "utterance_end_unknown"]
            + ["eager", "eager", "resumed"]
            + ["silent", "silent", "voiced"]
            + ["audible"] * 4
            + ["paused", "done", "done", "failed", "tools_on", "tools_off", "stale_reply"]
            + ["dtmf", "hash", "deadline", "deadline", "wait"]
            + ["end_requested", "hung_up"]
        ),
        st.integers(min_value=1, max_value=4),
        st.sampled_from([0.0, 0.05, 0.3, 1.0, 2.5, 7.0]),
    ),
    max_size=60,
)
SETTINGS = st.builds(
    TurnSettings,
    interruption_threshold=st.integers(0, 4),
    min_speaking_time_s=st.sampled_from([0.0, 0.5, 3.0]),
    interruption_cooldown_s=st.sampled_from([0.0, 2.0]),
    false_interruption_s=st.sampled_from([None, 1.5]),
    ask_to_repeat_s=st.sampled_from([None, 0.0, 2.5]),
    idle_timeout_s=st.sampled_from([None, 0.0, 5.0]),
    max_idle_messages=st.sampled_from([None, 0, 1, 3]),
    prepare_after_s=st.sampled_from([None, 0.0, 0.25]),
    max_preparations=st.sampled_from([0, 1, 3]),
    unfinished_wait_s=st.sampled_from([0.0, 0.6]),
    eager_recogniser=st.booleans(),
    language=st.sampled_from(["", "en"]),
    interrupt_phrases=st.sampled_from([None, (), ("w3",), ("w2 w3",)]),
    ignore_phrases=st.sampled_from([None, (), ("w1", "w4", "w5 w6")]),
    max_call_s=st.sampled_from([None, 20.0, 3_600.0]),
)


class World:
    """A caller whose words are w1, w2, …; a truthful recogniser; and a shell that checks what it is told to do."""

    def __init__(self, settings: TurnSettings) -> None:
        self.settings = settings
        self.machine = TurnMachine(settings)
        self.now = 0.0
        self.lines = [json.dumps(settings_record(settings))]
        self.window: list[str] = []
        self.window_from_ms = 0.0
        self.spoken = 0
        self.digits = 0
        self.past: list[ev.Interim | ev.Final] = []
        self.last_word_ms = 0.0
        self.live = ""
        self.audible_since: float | None = None
        self.tools = False
        self.prepared: str | None = None
        self.last_cut: float | None = None
        self.turns: dict[str, str] = {}
        self.end: ev.EndCall | None = None

    def step(self, what: str, n: int, wait_s: float) -> None:
        self.now += wait_s
        event = self._event(what, n)
        if event is not None:
            self.tell(event)

    def tell(self, event: ev.Input) -> None:
        self._before(event)
        decisions = self.machine.decide(event, self.now)
        self.lines.append(json.dumps(record(event, self.now, decisions)))
        for decision in decisions:
            self._check(decision)
        deadline = self.machine.deadline
        assert deadline is None or deadline > self.now
        assert (self.machine.live_reply or "") == self.live or self.end is not None

    def _event(self, what: str, n: int) -> ev.Input | None:
        end_ms = self.now * 1_000
        match what:
            case "speak":
                self.window += [f"w{self.spoken + i + 1}" for i in range(n)]
                self.spoken += n
                self.now += 0.2 * n
                self.last_word_ms = self.now * 1_000
                return ev.Interim(" ".join(self.window), self.window_from_ms, self.last_word_ms)
            case "eager":
                return ev.Interim(" ".join(self.window), self.window_from_ms, self.last_word_ms, eager=True)
            case "silent":
                return ev.VoiceStopped(self.last_word_ms, 0.1)
            case "voiced":
                return ev.VoiceStarted()
            case "resumed":
                return ev.TurnResumed()
            case "final" | "speech_final":
                final = ev.Final(
                    " ".join(self.window).capitalize(),
                    self.window_from_ms,
                    end_ms,
                    speech_final=what == "speech_final",
                )
                if self.window:
                    self.past.append(ev.Interim(" ".join(self.window), self.window_from_ms, end_ms))
                    self.past.append(final)
                self.window, self.window_from_ms = [], end_ms
                return final
            case "again" | "stale_interim":
                kind = ev.Final if what == "again" else ev.Interim
                known = [event for event in self.past[-4:] if isinstance(event, kind)]
                return known[-1] if known else None
            case "utterance_end":
                return ev.UtteranceEnd(self.last_word_ms)
            case "utterance_end_unknown":
                return ev.UtteranceEnd()
            case "dtmf":
                self.digits += 1
                return ev.Dtmf(str(n))
            case "hash":
                return ev.Dtmf("#")
            case "end_requested":
                return ev.EndRequested("assistant_ended", say=n > 1) if n == 4 else None
            case "hung_up":
                return ev.HungUp() if n == 4 else None
            case "deadline":
                self.now = max(self.now, self.machine.deadline or 0.0)
                return ev.Tick()
            case "wait":
                return ev.Tick()
            case "stale_reply":
                return ev.ReplyDone("r0")
        return self._reply_event(what)

    def _reply_event(self, what: str) -> ev.Input | None:
        if not self.live:
            return None
        kinds: dict[str, Callable[[str], ev.Input]] = {
            "audible": ev.ReplyAudible,
            "paused": ev.ReplyPaused,
            "done": ev.ReplyDone,
            "failed": ev.ReplyFailed,
        }
        if what in kinds:
            return kinds[what](self.live)
        return ev.ToolsRunning(self.live, what == "tools_on")

    def _before(self, event: ev.Input) -> None:
        match event:
            case ev.ReplyAudible() if self.audible_since is None:
                self.audible_since = self.now
            case ev.ReplyPaused():
                self.audible_since = None
            case ev.ReplyDone(reply_id) | ev.ReplyFailed(reply_id) if reply_id == self.live:
                self._over()
            case ev.ToolsRunning():
                self.tools = event.running
            case _:
                pass

    def _over(self) -> None:
        self.live, self.audible_since, self.tools = "", None, False

    def _check(self, decision: ev.Decision) -> None:
        assert self.end is None
        match decision:
            case ev.Commit():
                assert not self.live
                assert decision.prepared == (self.prepared == decision.reply_id)
                assert decision.turn == len(self.turns) + 1
                self.prepared = None
                self.live = decision.reply_id
                self.turns[decision.reply_id] = decision.text
            case ev.GoOn():
                assert not self.live
                assert self.last_cut is not None
                self.live = decision.reply_id
            case ev.SayWelcome() | ev.SayIdle() | ev.AskToRepeat() | ev.SayGoodbye():
                assert not self.live
                self.live = decision.reply_id
            case ev.Prepare():
                assert not self.live
                assert self.prepared is None
                self.prepared = decision.reply_id
            case ev.Discard():
                assert self.prepared == decision.reply_id
                self.prepared = None
            case ev.Withdraw():
                assert decision.reply_id == self.live
                assert self.audible_since is None
                self.turns.pop(self.live, None)
                self._over()
            case ev.Interrupt():
                self._check_interrupt(decision)
            case ev.EndCall():
                self.end = decision
            case _:
                pass

    def _check_interrupt(self, decision: ev.Interrupt) -> None:
        assert decision.reply_id == self.live
        if decision.cause in ("words", "phrase", "dtmf"):
            assert self.audible_since is not None
            assert not self.tools
        if decision.cause in ("words", "phrase"):
            assert self.audible_since is not None
            assert self.now >= self.audible_since + self.settings.min_speaking_time_s
        if decision.cause == "words":
            assert self.last_cut is None or self.now >= self.last_cut + self.settings.interruption_cooldown_s
        if self.audible_since is not None:
            self.last_cut = self.now
        self._over()

    def texts(self) -> Sequence[str]:
        waiting = self.end.unanswered if self.end else self.machine.waiting_text
        return [*self.turns.values(), waiting]


def _run(settings: TurnSettings, steps: list[tuple[str, int, float]], *, welcome: bool) -> World:
    world = World(settings)
    world.tell(ev.MediaStarted(welcome=welcome, words_missed=True))
    for what, n, wait_s in steps:
        if world.end is None:
            world.step(what, n, wait_s)
    return world


@pytest.mark.promise("P6")
@given(SETTINGS, STEPS, st.booleans())
@examples(max_examples=400, deadline=None)
def test_every_word_is_in_exactly_one_turn_or_still_waiting_and_in_order(
    settings: TurnSettings, steps: list[tuple[str, int, float]], welcome: bool
) -> None:
    world = _run(settings, steps, welcome=welcome)
    words = [word.lower() for text in world.texts() for word in text.split() if word[0] in "wW"]
    assert words == [f"w{n + 1}" for n in range(world.spoken)]


@given(SETTINGS, STEPS)
@examples(max_examples=100, deadline=None)
def test_every_key_is_in_exactly_one_turn(settings: TurnSettings, steps: list[tuple[str, int, float]]) -> None:
    world = _run(settings, steps, welcome=False)
    if world.end is None:
        world.tell(ev.HungUp())
    keys = [word for text in world.texts() for word in text.split() if word.isdigit()]
    assert sum(len(word) for word in keys) == world.digits


@given(SETTINGS, STEPS)
@examples(max_examples=100, deadline=None)
def test_time_alone_brings_every_call_to_rest_or_to_its_end(
    settings: TurnSettings, steps: list[tuple[str, int, float]]
) -> None:
    """A caller who falls silent and replies that are played: words are answered, and nothing loops without waiting."""
    world = _run(settings, steps, welcome=False)
    for _ in range(60):
        if world.end is not None or world.machine.deadline is None:
            break
        world.step("done" if world.live and not world.tools else "deadline", 1, 0.01)
        if world.tools:
            world.step("tools_off", 1, 0.01)
    if world.end is None and not world.live:
        assert world.machine.deadline is None or world.machine.deadline > world.now


@given(SETTINGS, STEPS, st.booleans())
@examples(max_examples=100, deadline=None)
def test_a_recorded_call_is_decided_the_same_again(
    settings: TurnSettings, steps: list[tuple[str, int, float]], welcome: bool
) -> None:
    world = _run(settings, steps, welcome=welcome)
    result = replay(world.lines)
    assert result.difference is None
    assert result.inputs == len(world.lines) - 1
