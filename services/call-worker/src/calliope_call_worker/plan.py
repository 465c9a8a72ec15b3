"""Everything a call needs to know before it starts, pinned: a later change of the document does not reach it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from calliope.contracts.assistants import PinnedAssistant, SealedSecret, secret_context
from calliope.contracts.base import STORED
from calliope.contracts.calls import Direction
from calliope.contracts.document.spec import SECRET_PATHS, AssistantSpec
from calliope.documents import places
from calliope.errors import PermanentError
from calliope.secrets import Opener
from calliope_call_worker.call_context import CallContext, filled
from calliope_call_worker.conversation import Turn
from calliope_call_worker.providers.llm.base import CallFacts, ToolCall, ToolResult
from calliope_call_worker.providers.telephony.base import Carrier, CarrierAccount
from calliope_call_worker.providers.telephony.caller_id import has_own_number
from calliope_call_worker.settings import CarriersSettings


class NoAccountError(PermanentError):
    """Nobody has an account at the carrier that the call came from."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where a call that is taken over had got to.

    Of the turn that is answered anew: what its tools had done, and the keys of those whose outcome nobody knows. Such
    a tool is asked with the same key, so that its effect is one.
    """

    history: tuple[Turn, ...]
    turns: int
    unanswered: str
    elapsed_s: float
    tools_done: tuple[tuple[ToolCall, ToolResult], ...] = ()
    tools_unknown: Mapping[str, str] = field(default_factory=dict)


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

    @property
    def tools_unknown(self) -> dict[tuple[int, str], str]:
        """See `Continuation`; by turn and name."""
        past = self.continuation
        return {} if past is None else {(past.turns + 1, name): key for name, key in past.tools_unknown.items()}


def open_spec(pinned: PinnedAssistant, opener: Opener) -> AssistantSpec:
    """The document with its secrets opened. Raises: PermanentError, when one does not open, or rules changed."""
    document: dict[str, Any] = _copy(pinned.document)
    for pattern in SECRET_PATHS:
        for _, container, key in places(document, pattern):
            sealed = container[key]
            if isinstance(sealed, Mapping):
                context = secret_context(pinned.organization_id, pinned.id, pattern)
                container[key] = opener.open(SealedSecret.model_validate(sealed), context=context)
    try:
        return AssistantSpec.model_validate(document, context=STORED)
    except ValidationError as exc:  # its words hold the values, secrets among them
        places_to_blame = ", ".join(".".join(map(str, error["loc"])) for error in exc.errors(include_input=False))
        raise PermanentError(f"revision {pinned.revision} of {pinned.id} is refused now: {places_to_blame}") from None


def account_for(carrier: str, spec: AssistantSpec, settings: CarriersSettings) -> CarrierAccount:
    """The assistant's own account, else the installation's. Raises: NoAccountError, when there is neither."""
    account = own_account(carrier, settings)
    if carrier == "twilio" and spec.twilio_config is not None:
        twilio = spec.twilio_config
        account = CarrierAccount(twilio.account_sid, twilio.auth_token.get_secret_value())
    if carrier == "telnyx" and spec.telnyx_config is not None:
        telnyx = spec.telnyx_config
        key = telnyx.public_key or settings.telnyx.public_key
        account = CarrierAccount(telnyx.connection_id, telnyx.api_key.get_secret_value(), key)
    if account is None:
        raise NoAccountError(f"the assistant has no {carrier} account, and neither has this installation")
    return account


def own_account(carrier: str, settings: CarriersSettings) -> CarrierAccount | None:
    """The installation's account at a carrier; a variable that is set to nothing names none."""
    twilio, telnyx = settings.twilio, settings.telnyx
    if carrier == "twilio" and twilio.account_sid and twilio.auth_token and twilio.auth_token.get_secret_value():
        return CarrierAccount(twilio.account_sid, twilio.auth_token.get_secret_value())
    if carrier == "telnyx" and telnyx.connection_id and telnyx.api_key and telnyx.api_key.get_secret_value():
        return CarrierAccount(telnyx.connection_id, telnyx.api_key.get_secret_value(), telnyx.public_key or None)
    return None


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
