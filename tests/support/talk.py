"""Drives a turn machine through a scripted call: the recogniser's windows and the clock are kept consistent."""

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine


class Talk:
    """One call; `at` is the time of the last input, every method returns what was decided."""

    def __init__(self, settings: TurnSettings | None = None, *, prepare: bool = False) -> None:
        by_count = TurnSettings(
            prepare_after_s=0.25 if prepare else None, unfinished_wait_s=0.0, interrupt_phrases=(), ignore_phrases=()
        )
        self.machine = TurnMachine(settings or by_count)
        self.at = 0.0
        self.decided: list[ev.Decision] = []
        self.window_ms = 0.0

    def tell(self, event: ev.Input, at: float | None = None) -> tuple[ev.Decision, ...]:
        self.at = self.at if at is None else at
        decided = self.machine.decide(event, self.at)
        self.decided += decided
        return decided

    def answered(self) -> "Talk":
        """The media stream is open and there is no welcome."""
        self.tell(ev.MediaStarted(welcome=False))
        return self

    def speaking(self, at: float = 0.0, *, text: str = "Hello there.") -> str:
        """Brings the call to where a reply is audible from `at` on; returns its id."""
        self.answered()
        self.says(text, at, speech_final=True)
        reply_id = self.live
        self.tell(ev.ReplyAudible(reply_id), at)
        return reply_id

    @property
    def live(self) -> str:
        assert self.machine.live_reply is not None
        return self.machine.live_reply

    def interim(self, text: str, at: float) -> tuple[ev.Decision, ...]:
        return self.tell(ev.Interim(text, self.window_ms, max(at * 1_000, self.window_ms + 100)), at)

    def says(self, text: str, at: float, *, speech_final: bool = False) -> tuple[ev.Decision, ...]:
        start_ms, self.window_ms = self.window_ms, max(at * 1_000, self.window_ms + 100)
        return self.tell(ev.Final(text, start_ms, self.window_ms, speech_final=speech_final), at)

    def falls_silent(self, at: float, *, noticed_after_s: float = 0.1) -> tuple[ev.Decision, ...]:
        """The caller's audio is quiet from `at` on."""
        return self.tell(ev.VoiceStopped(at * 1_000, noticed_after_s), at + noticed_after_s)

    def tick(self, at: float | None = None) -> tuple[ev.Decision, ...]:
        """Time passes: to `at`, or to the machine's deadline."""
        if at is None:
            assert self.machine.deadline is not None
            at = self.machine.deadline
        return self.tell(ev.Tick(), at)


def commits(decided: list[ev.Decision] | tuple[ev.Decision, ...]) -> list[str]:
    """Texts of the turns committed."""
    return [decision.text for decision in decided if isinstance(decision, ev.Commit)]


def kinds(decided: list[ev.Decision] | tuple[ev.Decision, ...]) -> list[str]:
    """Names of the decisions."""
    return [type(decision).__name__ for decision in decided]
