"""What happens in a demonstration call: the assistant's JSON, and beside it who calls and what the outside world says.

`examples/booking.json` is the assistant as a developer would post it; `examples/booking.call.json`, optional:

    {"caller": [{"wait_for": "table"}, {"say": "For two"}, …],       steps of the caller, see the sandbox's callers
     "model": {"rules": [{"match": "two", "say": "When?"}, …]},      what the models answer; else as a receptionist
     "hooks": {"bookings": {"answer": {"status": 200, "body": …}}},  receivers, and how they answer
     "expect": {"ended_reason": "assistant_ended", "events": ["tool_finished", …],
                "heard": ["Table seven", …],                         what the caller has to hear, in this order
                "structured_data": {"booked": true, …}}}             what has to be in the data taken from the call
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

SANDBOX: Final = "http://127.0.0.1:8090"
"""Where examples say that the sandbox is, as `make up` has it; a demonstration puts its own address there."""
EXAMPLE: Final = Path("examples/reception.json")
KNOWN: Final = frozenset({"caller", "model", "hooks", "expect"})
EXPECTED: Final = frozenset({"ended_reason", "events", "heard", "structured_data"})
RECEPTION: Final[list[Json]] = [
    {"wait_for_silence_ms": 500},
    {"say": "Hi, what are your opening hours?"},
    {"interrupt": {"after_words": 4, "say": "Sorry, I meant can I book a table tomorrow"}},
    {"wait_for": "booked"},
    {"wait_for_silence_ms": 500},
    {"say": "No thank you, goodbye"},
    {"expect_hang_up": True},
]
USUAL_EVENTS: Final = ("started", "answered", "ended")
TALK_EVENTS: Final = ("turn_started", "turn_committed")
WITHIN_S: Final = 20.0
"""How long a step may take that does not say so, as the sandbox has it."""
SETUP_S: Final = 20.0
LONGEST_CALL_S: Final = 600.0


class ScenarioError(ValueError):
    """A file of the demonstration that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One demonstration call."""

    assistant: Json
    caller: list[Json] = field(default_factory=lambda: RECEPTION)
    model: Json | None = None
    hooks: dict[str, Json] = field(default_factory=dict)
    ended_reason: str | None = None
    events: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    structured_data: Json = field(default_factory=dict)

    @property
    def has_own_call(self) -> bool:
        """Whether a call file says what happens; else a guest talks to the built-in receptionist."""
        return self.caller is not RECEPTION

    @property
    def interruptions(self) -> int:
        """How often the caller cuts in."""
        return sum("interrupt" in step for step in self.caller)

    @property
    def analyzed(self) -> bool:
        """Whether work after the call is expected."""
        return "analyzed" in self.events

    @property
    def all_events(self) -> tuple[str, ...]:
        """The events that every call has, those of a call in which somebody talks, and those that are expected."""
        talks = any("say" in step or "interrupt" in step for step in self.caller)
        return (*USUAL_EVENTS, *(TALK_EVENTS if talks else ()), *self.events)

    @property
    def longest_s(self) -> float:
        """How long the call may take if every step takes as long as it may; at most `LONGEST_CALL_S`."""
        steps_s = sum(float(step.get("within_s", WITHIN_S)) for step in self.caller)
        return min(SETUP_S + steps_s, LONGEST_CALL_S)


def load(file: Path, sandbox: str) -> Scenario:
    """The assistant of `file`, and the call beside it if there is one. Raises: ScenarioError."""
    assistant = read_object(file, sandbox)
    beside = file.with_suffix(".call.json")
    if not beside.exists():
        return Scenario(assistant)
    return load_call(beside, sandbox, assistant)


def load_call(file: Path, sandbox: str, assistant: Json) -> Scenario:
    """The call of a `*.call.json`, to this assistant. Raises: ScenarioError."""
    call = read_object(file, sandbox)
    expect = call.get("expect", {})
    for given, known in ((call, KNOWN), (expect, EXPECTED)):
        if unknown := sorted(set(given) - known):
            raise ScenarioError(f"{file}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return Scenario(
        assistant,
        caller=call.get("caller", RECEPTION),
        model=call.get("model"),
        hooks=call.get("hooks", {}),
        ended_reason=expect.get("ended_reason"),
        events=tuple(expect.get("events", ())),
        heard=tuple(expect.get("heard", ())),
        structured_data=expect.get("structured_data", {}),
    )


def read_object(file: Path, sandbox: str) -> Json:
    """The JSON object of a file, the sandbox where it really is. Raises: ScenarioError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8").replace(SANDBOX, sandbox))
    except FileNotFoundError as exc:
        raise ScenarioError(f"{file} is not there") from exc
    except ValueError as exc:
        raise ScenarioError(f"{file} is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise ScenarioError(f"{file} must hold one JSON object")
    return document
