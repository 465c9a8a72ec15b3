"""What another worker needs to go on in the middle of a reply: what was said of it, and when each word is heard. Pure.

The worker that speaks keeps this beside the call's lease, and overwrites it as it speaks. It is no fact of the call:
it tells what will have been heard, which becomes a fact when the reply is over, here or elsewhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import Field, NonNegativeInt

from calliope.contracts.base import Event, Message
from calliope.contracts.calls import Resumed, TurnKind
from calliope.contracts.open_enum import OpenEnum

MOST_OWNERS: Final = 3
"""Workers that may have taken a call one after the other before one of them spoke."""
EVERY_S: Final = 0.5
"""A worker that speaks tells so often how far it came. It sends audio with a longer lead, so what is heard meanwhile
was known the last time."""
_KNOWN: Final = frozenset(TurnKind)
ANSWERS: Final = frozenset({TurnKind.REPLY, TurnKind.APOLOGY})
"""Kinds of replies that answer a turn of the caller."""


class Playback(Message):
    """One reply on its way to the caller's ear, as of now."""

    turn: NonNegativeInt
    kind: OpenEnum[TurnKind]
    text: str = Field(default="", description="The caller's turn that it answers.")
    said: str = Field(description="What was given to the voice so far.")
    before_tools: NonNegativeInt = Field(default=0, description="So many characters of it were said before a tool.")
    waiting: NonNegativeInt = Field(
        default=0, description="So many characters behind those only asked the caller to wait."
    )
    heard: NonNegativeInt = Field(default=0, description="So many characters of it were surely heard.")
    ahead: tuple[tuple[int, int], ...] = Field(
        default=(), description="Of each word behind those: the characters up to its end, when it is heard (unix ms)."
    )
    sent_until: NonNegativeInt | None = Field(
        default=None, description="When the last audio that was sent by then is heard (unix ms)."
    )
    tools: NonNegativeInt = Field(default=0, description="So many tools of the turn had answered by then.")
    complete: bool = Field(default=False, description="Whether nothing follows what was given to the voice.")
    ends: str = Field(default="", description="The reason for which the call ends after it.")
    estimated: bool = Field(
        default=False, description="Whether `heard` holds an estimate for an earlier worker's part."
    )
    after: NonNegativeInt = Field(default=0, description="The call's last fact when the reply began.")


@dataclass(frozen=True, slots=True)
class BegunReply:
    """A reply that another worker began, divided where the caller heard no more of it."""

    kind: TurnKind | str
    turn: int
    text: str
    before_tools: str
    """Of what was heard: what was said before the turn's tools ran."""
    heard: str
    """Of what was heard: the rest, which the next word follows."""
    rest: str
    """What was given to the voice and not heard."""
    complete: bool
    ends: str = ""
    tools: int = 0
    """So many tools of the turn had answered before its last words were said."""
    estimated: bool = False
    """Whether it was cut by the clock: the worker did not live to say how far the caller heard."""
    waiting: int = 0
    """So many characters of `heard` and `rest` only asked the caller to wait."""

    @property
    def answers(self) -> bool:
        """Whether it answers a turn of the caller."""
        return self.kind in ANSWERS

    @property
    def is_own(self) -> bool:
        """Whether it is a fixed line: it has to do with no turn."""
        return not self.answers and self.kind != TurnKind.RESUME

    @property
    def over(self) -> bool:
        """Whether all of it was heard."""
        return self.complete and not self.rest.strip()

    def playback(self, after: int) -> Playback:
        """The same for whoever comes next, while nothing more of it was said."""
        heard = self.before_tools + self.heard
        return Playback(
            turn=self.turn,
            kind=self.kind,
            text=self.text,
            said=heard + self.rest,
            before_tools=len(self.before_tools),
            waiting=self.waiting,
            heard=len(heard),
            tools=self.tools,
            complete=self.complete,
            ends=self.ends,
            estimated=self.estimated,
            after=after,
        )


def owners(facts: Sequence[Event]) -> tuple[int, ...]:
    """By which facts workers took the call, the latest first: what each was saying is kept under that number."""
    taken = [fact.sequence for fact in facts if fact.name in {"started", "resumed"}]
    return tuple(taken[: -1 - MOST_OWNERS : -1])


def begun_reply(playback: Playback | None, facts: Sequence[Event], cut_at_ms: float) -> BegunReply | None:
    """The reply that was being said when the media ended, at `cut_at_ms` (unix); None, when the facts have its end.

    Nor is there one of which nothing was heard: it begins anew. Where another worker took the call since, and died
    before it said how far the caller had heard, the media had ended by then.
    """
    if playback is None or playback.kind not in _KNOWN or _is_told(playback, facts):
        return None
    end = heard_until(playback, min([cut_at_ms, *(_media_ended_ms(fact) for fact in facts if _took(fact, playback))]))
    heard = playback.said[:end]
    if not heard.strip():
        return None
    return BegunReply(
        kind=playback.kind,
        turn=playback.turn,
        text=playback.text,
        before_tools=heard[: playback.before_tools],
        heard=heard[playback.before_tools :],
        rest=playback.said[end:],
        complete=playback.complete,
        ends=playback.ends,
        tools=playback.tools,
        estimated=playback.estimated or bool(playback.ahead),
        waiting=playback.waiting,
    )


def _took(fact: Event, playback: Playback) -> bool:
    """Whether another worker took the call from the one that kept this."""
    return fact.name == "resumed" and fact.sequence > playback.after


def _media_ended_ms(resumed: Event) -> float:
    """Unix ms; workers before this version did not say it."""
    return (Resumed.model_validate(resumed.data).media_ended_at or resumed.time).timestamp() * 1_000


def heard_until(playback: Playback, cut_at_ms: float) -> int:
    """How many characters of `said` the caller had heard by then.

    A worker that lives sends on, and says so. One of which nothing more was known when all it had sent was over fell
    silent before: of what it had still to send nothing was heard.
    """
    if playback.sent_until is not None and cut_at_ms > playback.sent_until + 2_000 * EVERY_S:
        cut_at_ms = playback.sent_until
    return min(len(playback.said), max([playback.heard, *(end for end, at in playback.ahead if at <= cut_at_ms)]))


def _is_told(playback: Playback, facts: Iterable[Event]) -> bool:
    """Whether the facts say how the reply ended, or of a later turn."""
    for fact in facts:
        if fact.sequence <= playback.after or fact.name not in {"turn_committed", "turn_started"}:
            continue
        turn = int(str(fact.data["turn"]))
        if turn > playback.turn or (fact.name == "turn_committed" and turn == playback.turn):
            return True
    return False
