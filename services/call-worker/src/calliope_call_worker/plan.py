"""Everything a call needs to know before it starts, pinned: a later change of the document does not reach it."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from calliope.contracts.calls import Direction, ToolStarted
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.call_context import CallContext, filled
from calliope_call_worker.conversation import Turn
from calliope_call_worker.playback import BegunReply
from calliope_call_worker.providers.llm.base import CallFacts, ToolCall, ToolResult
from calliope_call_worker.providers.telephony.base import Carrier, CarrierAccount
from calliope_call_worker.providers.telephony.caller_id import has_own_number


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where a call that is taken over had got to.

    Of the reply that is made anew: what its tools had done, and what was begun and nobody knows the outcome of. Such a
    tool is asked with the same key, so that its effect is one.
    """

    history: tuple[Turn, ...]
    turns: int
    unanswered: str
    elapsed_s: float
    answered_at: datetime | None = None
    """When media flowed first, in UTC; None: it never did."""
    media_ended_at: datetime | None = None
    """When the media stream of the worker before ended, as far as is known."""
    welcome_owed: bool = False
    """Nobody has heard the welcome to its end, and nothing was said since."""
    words_missed: bool = False
    """The caller may have spoken while no worker listened, or words that were not yet written down."""
    ends: bool = False
    """The assistant had decided to end the call; what is left of that is a goodbye, unless it was heard."""
    begun: BegunReply | None = None
    """What was being said when the media ended; of a turn that is not answered anew, but to its end."""
    tools_begun: tuple[ToolStarted, ...] = ()
    """The effects of the reply that was not over."""
    tools_done: tuple[tuple[ToolCall, ToolResult], ...] = ()
    """Those of them whose result is known; the others may have happened or not."""

    @property
    def tools_unknown(self) -> tuple[ToolStarted, ...]:
        """Effects whose outcome nobody knows."""
        known = {call.id for call, _ in self.tools_done}
        return tuple(one for one in self.tools_begun if one.tool_call_id not in known)

    def tools_of(self, turn: int) -> tuple[tuple[ToolCall, ToolResult], ...]:
        """What tools had done that a reply of that turn is to know: its own, and what no fact and no reply tells of."""
        untold = turn == self.turns + 1 and (self.begun is None or self.begun.is_own)
        known = {one.tool_call_id for one in self.tools_begun if untold or one.turn == turn}
        return tuple((call, result) for call, result in self.tools_done if call.id in known)


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call, before any media."""

    call_id: str
    organization_id: str
    assistant_id: str
    assistant_revision: int
    spec: AssistantSpec = field(repr=False)
    direction: Direction
    from_number: str
    to_number: str
    carrier: Carrier
    account: CarrierAccount = field(repr=False)
    carrier_call_id: str
    token: str = field(repr=False)
    began: datetime
    time_zone: str
    continuation: Continuation | None = None

    @property
    def facts(self) -> CallFacts:
        """What a custom model may be told about it."""
        numbers = (self.to_number, self.from_number)
        ours, theirs = numbers if self.direction is Direction.INBOUND else reversed(numbers)
        return CallFacts(self.carrier_call_id, assistant_number=ours, caller_number=theirs)

    @property
    def shown_number(self) -> str | None:
        """Who is shown to those whom the caller is connected to; None: whom the carrier shows, which is the caller.

        Ours for one without a telephone number, and for one whom we called: carriers refuse to show those.
        """
        facts = self.facts
        if self.direction is Direction.INBOUND and has_own_number(facts.caller_number):
            return None
        return facts.assistant_number if has_own_number(facts.assistant_number) else None

    @property
    def context(self) -> CallContext:
        """What its model is told of it."""
        facts = self.facts
        numbers = (facts.caller_number, facts.assistant_number)
        return CallContext(self.call_id, self.direction, *numbers, self.began, self.time_zone)

    @property
    def system_prompt(self) -> str:
        """The document's, and the facts of the call; the same in every request of the call."""
        return f"{self.spec.llm_settings.system_prompt}\n\n{self.context.told()}".lstrip()

    def with_variables(self) -> "CallPlan":
        """The plan with the variables of its document filled in; done once, when it is made."""
        return replace(self, spec=filled(self.spec, self.context))
