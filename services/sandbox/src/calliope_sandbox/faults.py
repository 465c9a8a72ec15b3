"""Faults on demand: what was armed over HTTP, and whether one of them strikes now. Pure bookkeeping."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from calliope_sandbox.vendors.host import Trouble

MAX_FAULTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of fault acts. `after` None: instead of an answer; else once so many messages were sent.

    `vendors`: those that can fail so; none named: all.
    """

    action: str
    after: int | None
    status: int = 503
    once: bool = True
    vendors: frozenset[str] = frozenset()


CARRIERS: Final = frozenset({"twilio", "telnyx"})
KINDS: Final[Mapping[str, Kind]] = {
    "refuse": Kind("refuse", after=None),
    "rate_limited": Kind("refuse", after=None, status=429),
    "silent": Kind("silent", after=0),
    "error": Kind("error", after=1),
    "drop": Kind("drop", after=1),
    "close": Kind("close", after=1),
    "garbage": Kind("garbage", after=1),
    "latency": Kind("slow", after=0, once=False),
    "slow_drip": Kind("drip", after=0, once=False),
    "stops_reading": Kind("stop_reading", after=1, vendors=CARRIERS),
    "loses_marks": Kind("lose_mark", after=1, vendors=CARRIERS),
}


class FaultError(ValueError):
    """A fault that cannot be understood."""


@dataclass(slots=True)
class Fault:
    """One armed fault. `left` None: strikes for ever."""

    id: int
    vendor: str
    kind: str
    after: int | None
    call: str | None
    key: str | None
    left: int | None
    trouble: Trouble
    skip: int = 0
    struck: int = 0

    def strikes(self, vendor: str, call: str, key: str, sent: int | None) -> bool:
        """Whether it is its moment; counts it."""
        if vendor != self.vendor or self.left == 0:
            return False
        if (self.call is not None and self.call != call) or (self.key is not None and self.key != key):
            return False
        if (self.after is None) != (sent is None) or (sent is not None and sent < (self.after or 0)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.struck += 1
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """Everything that is armed, oldest first."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._next = 1

    def arm(self, document: Mapping[str, Any], vendors: frozenset[str]) -> Fault:
        """Arm `{vendor, kind, after?, skip?, call?, key?, times?, status?, code?, ms?, reason?, headers?}`.

        `times`: how often it strikes; null for ever. `skip`: so many moments it lets pass once it is armed. `after`:
        null strikes before anything is answered, so that `drop` is a server that cannot be reached and `silent` one
        that takes connections and nothing more. Raises: FaultError.
        """
        known = {"vendor", "kind", "after", "skip", "call", "key", "times", "status", "code", "ms", "reason", "headers"}
        if unknown := sorted(set(document) - known):
            raise FaultError(f"unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        vendor, kind = document.get("vendor"), KINDS.get(str(document.get("kind")))
        if vendor not in vendors:
            raise FaultError(f"vendor must be one of {', '.join(sorted(vendors))}")
        if kind is None:
            raise FaultError(f"kind must be one of {', '.join(KINDS)}")
        if kind.vendors and vendor not in kind.vendors:
            raise FaultError(f"{document['kind']} is a fault of {' and '.join(sorted(kind.vendors))} only")
        if len(self._armed) >= MAX_FAULTS:
            raise FaultError(f"{MAX_FAULTS} faults are armed; DELETE /sandbox/faults first")
        fault = Fault(
            id=self._next,
            vendor=str(vendor),
            kind=str(document["kind"]),
            after=_after(document, kind),
            call=document.get("call"),
            key=document.get("key"),
            left=_times(document, once=kind.once),
            skip=_count(document, "skip", 0),
            trouble=Trouble(
                kind.action,
                status=_count(document, "status", kind.status),
                code=str(document.get("code", "")),
                reason=str(document.get("reason", "injected fault")),
                ms=float(document.get("ms", 0.0)),
                headers=dict(document.get("headers", {})),
            ),
        )
        self._next += 1
        self._armed.append(fault)
        return fault

    def trouble(self, vendor: str, *, call: str, key: str, sent: int | None) -> Trouble | None:
        """The fault that strikes now, if any."""
        return next((fault.trouble for fault in self._armed if fault.strikes(vendor, call, key, sent)), None)

    def listing(self) -> list[dict[str, Any]]:
        """What is armed, and how often it struck."""
        return [
            {"id": f.id, "vendor": f.vendor, "kind": f.kind, "call": f.call, "left": f.left, "struck": f.struck}
            for f in self._armed
        ]

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()


def _count(document: Mapping[str, Any], name: str, default: int) -> int:
    value = document.get(name, default)
    if not isinstance(value, int) or value < 0:
        raise FaultError(f"{name} must be a whole number from 0")
    return value


def _after(document: Mapping[str, Any], kind: Kind) -> int | None:
    if kind.after is None or ("after" in document and document["after"] is None):
        return None
    return _count(document, "after", kind.after)


def _times(document: Mapping[str, Any], *, once: bool) -> int | None:
    if "times" not in document:
        return 1 if once else None
    return None if document["times"] is None else _count(document, "times", 1)
