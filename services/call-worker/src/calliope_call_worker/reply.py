"""One reply of the assistant: what it answers, what was said of it, when; and the turn that it becomes. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from calliope.contracts.calls import TurnCommitted, TurnKind, TurnTimings, TurnUsage
from calliope_call_worker.conversation import Turn, to_json
from calliope_call_worker.playback import ANSWERS, BegunReply, Playback
from calliope_call_worker.providers.llm.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage

NOT_RUN: Final = "not run: the caller interrupted"
Outcome = Callable[[int, str], str | None]
"""Turn and id of a tool call: what came of it, None when it was never begun."""


Begun = Callable[[int, str], bool]
"""Turn and id of a tool call: whether its effect has begun."""


def nothing_begun(turn: int, tool_call_id: str) -> bool:
    """No tool was run."""
    return False


def never_begun(turn: int, tool_call_id: str) -> None:
    """No tool was run."""


@dataclass(slots=True)
class Round:
    """One answer of the model within a reply: what was said of it, the tools it called, what they answered."""

    said: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)
    complete: bool = False
    """Whether nothing more comes to be said in it, nor after it."""
    waiting: int = 0
    """Characters at its head that only asked the caller to wait."""


@dataclass(slots=True)
class Moments:
    """When things happened, in seconds of the loop's clock; each is set once."""

    last_word: float | None = None
    final: float | None = None
    committed: float | None = None
    llm_asked: float | None = None
    asked_to_wait: float | None = None
    first_token: float | None = None
    tts_asked: float | None = None
    first_tts_byte: float | None = None
    first_audio_sent: float | None = None
    first_audio_played: float | None = None
    done: float | None = None

    def stamp(self, name: str, now: float) -> None:
        """Note the first time that this happens."""
        if getattr(self, name) is None:
            setattr(self, name, now)

    def timings(self, ms: Callable[[float], float]) -> TurnTimings:
        """The moments on the call clock."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return TurnTimings(**{f"{name}_ms": round(ms(at), 2) for name, at in found.items() if at is not None})


@dataclass(slots=True)
class Usage:
    """Who worked on a reply, and how much."""

    llm_provider: str | None = None
    llm_model: str | None = None
    llm_requests: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens_estimated: bool = False
    discarded_requests: int = 0
    discarded_input_tokens: int = 0
    discarded_output_tokens: int = 0
    tts_provider: str | None = None
    tts_voice: str | None = None
    tts_characters: int = 0
    stt_provider: str | None = None
    stt_audio_ms: float = 0.0

    def add_tokens(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """Tokens of one more round."""
        if input_tokens is not None:
            self.input_tokens = (self.input_tokens or 0) + input_tokens
        if output_tokens is not None:
            self.output_tokens = (self.output_tokens or 0) + output_tokens

    def estimate_tokens(self, input_tokens: int, output_tokens: int) -> None:
        """Tokens of a round that was broken off before the model told them."""
        self.add_tokens(input_tokens, output_tokens)
        self.tokens_estimated = True

    def add_discarded(self, other: "Usage") -> None:
        """Requests that were made for this turn and thrown away; they are paid for all the same."""
        self.discarded_requests += other.llm_requests
        self.discarded_input_tokens += other.input_tokens or 0
        self.discarded_output_tokens += other.output_tokens or 0
        self.tokens_estimated = self.tokens_estimated or other.tokens_estimated

    def contract(self) -> TurnUsage:
        """For the event."""
        return TurnUsage(**{name: getattr(self, name) for name in self.__slots__})


@dataclass(slots=True)
class Reply:
    """A reply on its way. `text` is the caller's turn it answers, or the line it says."""

    id: str
    kind: TurnKind
    turn: int
    text: str
    moments: Moments = field(default_factory=Moments)
    usage: Usage = field(default_factory=Usage)
    rounds: list[Round] = field(default_factory=lambda: [Round()])
    backchannel: list[str] = field(default_factory=list)
    complete: bool = False
    """Whether the model has written it to its end."""
    begun: str = ""
    """What another worker said of it, and was heard."""
    estimated: bool = False
    """Whether that is an estimate."""
    ends: str = ""
    """The reason for which the call ends after it."""
    after: int | None = None
    """The call's last fact when its first words were said."""

    def resume(self, done: Sequence[tuple[ToolCall, ToolResult]], begun: BegunReply | None = None) -> None:
        """Another worker began this turn: the model goes on behind what its tools had done, and it had said, there."""
        before, heard = ("", "") if begun is None else (begun.before_tools, begun.heard)
        if begun is not None and begun.tools < len(done):  # they answered after the last words
            before, heard = before + heard, ""
        if done or before:
            calls, results = [call for call, _ in done], [result for _, result in done]
            self.rounds.insert(0, Round(said=before, calls=calls, results=results))
        if begun is not None:
            blank = begun.rest[: len(begun.rest) - len(begun.rest.lstrip())]
            self.rounds[-1].said = heard + blank
            self.rounds[-1].waiting = begun.waiting if heard else 0
            self.begun, self.estimated, self.ends = self.said, begun.estimated, begun.ends

    def playback(self, heard: int, ahead: Iterable[tuple[int, int]] = (), *, sent_until: int | None = None) -> Playback:
        """How far it has come: of what was said here, the characters heard, and when which words are (unix ms).

        `sent_until`: when the last audio that was sent is (unix ms).
        """
        begun = len(self.begun)
        return Playback(
            turn=self.turn,
            kind=self.kind,
            text=self.user_text,
            said=self.said,
            before_tools=sum(len(part.said) for part in self.rounds[:-1]),
            waiting=self.rounds[-1].waiting,
            heard=begun + heard,
            ahead=tuple((begun + end, at_ms) for end, at_ms in ahead),
            sent_until=sent_until,
            tools=sum(len(part.results) for part in self.rounds),
            complete=self.complete or self.rounds[-1].complete,
            ends=self.ends,
            estimated=self.estimated,
            after=self.after or 0,
        )

    def with_own_id(self, call: ToolCall, begun: Begun = nothing_begun) -> ToolCall:
        """The call, with an id that no other of its turn has: its effect and its result are found by it.

        Some vendors number the calls of each answer anew, and a turn that was interrupted for nothing has two replies.
        """
        used = {other.id for part in self.rounds for other in part.calls}
        own, number = call.id, len(used)
        while not own or own in used or begun(self.turn, own):
            number += 1
            own = f"{call.id or 'call'}_{number}"
        return replace(call, id=own)

    @property
    def user_text(self) -> str:
        """The caller's words that it answers, if only with an apology."""
        return self.text if self.kind in ANSWERS else ""

    @property
    def said(self) -> str:
        """Everything given to the voice so far."""
        return "".join(part.said for part in self.rounds)

    @property
    def answered(self) -> bool:
        """Whether anything of it was more than a word to the caller who waits."""
        return any(len(part.said) > part.waiting for part in self.rounds)

    def messages(self, heard: str, outcome: Outcome = never_begun) -> Turn:
        """The turn for the history: of the assistant's words only what was heard, of its tools everything."""
        messages: list[Message] = [UserMessage(self.user_text)] if self.user_text else []
        left = len(heard)
        for part in self.rounds:
            text = part.said[:left]
            left -= len(text)
            if text.strip() or part.calls:
                messages.append(AssistantMessage(text.strip(), tuple(part.calls)))
            answered = {result.tool_call_id for result in part.results}
            messages.extend(part.results)
            messages.extend(
                ToolResult(call.id, call.name, outcome(self.turn, call.id) or NOT_RUN)
                for call in part.calls
                if call.id not in answered
            )
        return tuple(messages)

    def committed(
        self, heard: str, outcome: Outcome = never_begun, *, interrupted: bool, ms: Callable[[float], float]
    ) -> TurnCommitted:
        """The fact that this turn is over."""
        return TurnCommitted(
            turn=self.turn,
            kind=self.kind,
            user_text=self.user_text,
            assistant_text=heard.strip(),
            interrupted=interrupted,
            estimated=self.estimated,
            backchannel=tuple(self.backchannel),
            timings=self.moments.timings(ms),
            usage=self.usage.contract(),
            messages=tuple(to_json(message) for message in self.messages(heard, outcome)),
        )
