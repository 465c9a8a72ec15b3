"""What is known of a call when it begins: told to the model in every request, and filled into `{{variables}}`. Pure.

All of it stays as it was at the beginning, the clock too: what precedes the conversation is the same in every request
of a call, so vendors' prompt caches keep it, and another worker that goes on with the call says the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from calliope.contracts.calls import Direction
from calliope.contracts.document.spec import TEXT_PATHS, AssistantSpec
from calliope.contracts.document.variables import MAX_CALL_VARIABLE
from calliope.templates import fill
from calliope_call_worker.providers.telephony.caller_id import is_withheld

WITHHELD: Final = "withheld"


@dataclass(frozen=True, slots=True)
class CallContext:
    """A call's beginning. `caller` is the person on the line, `called` our number; `began` is aware."""

    call_id: str
    direction: Direction
    caller: str
    called: str
    began: datetime
    time_zone: str

    @property
    def _local(self) -> datetime:
        return self.began.astimezone(ZoneInfo(self.time_zone))

    def variables(self, assistant_name: str) -> dict[str, str]:
        """The values of `CALL_VARIABLES`."""
        local = self._local
        values = {
            "assistant.name": assistant_name,
            "call.direction": self.direction.value,
            "call.id": self.call_id,
            "called.number": _shown(self.called),
            "caller.number": _shown(self.caller),
            "date": f"{local:%Y-%m-%d}",
            "now": f"{local:%A %Y-%m-%d %H:%M}",
            "time": f"{local:%H:%M}",
            "time_zone": self.time_zone,
        }
        return {name: value[:MAX_CALL_VARIABLE] for name, value in values.items()}

    def told(self) -> str:
        """The paragraph that ends the system prompt."""
        local = self._local
        offset = local.isoformat(timespec="minutes")[16:]
        caller, called = _shown(self.caller), _shown(self.called)
        who = "The caller's number is withheld" if caller == WITHHELD else f"The caller's number is {caller}"
        if not caller.startswith("+") and caller != WITHHELD:
            who = f"The caller has no telephone number; their address is {caller}"
        how = f"they called {called}" if self.direction is Direction.INBOUND else f"you called them from {called}"
        return (
            f"Facts of this call: it began on {local:%A}, {local:%Y-%m-%d}, at {local:%H:%M} local time, in the time "
            f"zone {self.time_zone} (UTC{offset}). {who}; {how}."
        )


def _shown(address: str) -> str:
    """A number or address on one line; it comes from the other side, and must not look like more of the prompt."""
    plain = "".join(sign for sign in address if sign.isprintable() and not sign.isspace())[:MAX_CALL_VARIABLE]
    return WITHHELD if is_withheld(plain) else plain


def filled(spec: AssistantSpec, context: CallContext) -> AssistantSpec:
    """The document with the variables of its texts filled in."""
    values = spec.variables | context.variables(spec.name)
    changed: Any = spec
    for path in TEXT_PATHS:
        changed = _changed(changed, path, lambda text: fill(text, values))
    return changed  # type: ignore[no-any-return]


def _changed(node: Any, path: tuple[str, ...], change: Callable[[str], str]) -> Any:
    if not path:
        return node if node is None else change(node)
    if path[0] == "*":
        return tuple(_changed(each, path[1:], change) for each in node)
    return node.model_copy(update={path[0]: _changed(getattr(node, path[0]), path[1:], change)})
