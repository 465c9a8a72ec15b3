"""What happens in a call that is played: the assistant's JSON, and beside it who calls and what the world says.

`examples/booking.json` is the assistant as a developer would post it; `examples/booking.call.json`, optional, is a
`call_file.CallFile`; `docs/testing.md` explains it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from calliope import json_names
from calliope_local.call_file import WITHIN_S, CallFile, problems

Json = dict[str, Any]

SANDBOX: Final = "http://127.0.0.1:8090"
"""Where examples say that the sandbox is, as `make up` has it; a demonstration puts its own address there."""
EXAMPLE: Final = Path("examples/reception.json")
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
REFUSED: Final = "refused"
"""The end, and the only event, of a call that nobody took."""
TALK_EVENTS: Final = ("turn_started", "turn_committed")
SETUP_S: Final = 20.0
LONGEST_CALL_S: Final = 600.0


class ScenarioError(ValueError):
    """A file that cannot be played; the message names it, the place in it, and what is known there."""


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
    def breaks_things(self) -> bool:
        """Whether faults are armed, which may strike other calls that are played at the same time."""
        return any("faults" in step for step in self.caller)

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
        """The events that the call has to have: those of every call, of one with talk, and those that are expected."""
        if self.ended_reason == REFUSED:
            return (REFUSED, *self.events)
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
    try:
        expect = CallFile.model_validate(call).expect
    except ValidationError as exc:
        raise ScenarioError("\n".join(f"{file}: {problem}" for problem in problems(exc))) from exc
    return Scenario(
        assistant,
        caller=call.get("caller") or RECEPTION,
        model=call.get("model"),
        hooks=call.get("hooks", {}),
        ended_reason=expect.ended_reason,
        events=tuple(expect.events),
        heard=tuple(expect.heard),
        structured_data=expect.structured_data,
    )


def read_object(file: Path, sandbox: str) -> Json:
    """The JSON object of a file, the sandbox where it really is. Raises: ScenarioError."""
    try:
        document = json_names.loads(file.read_text(encoding="utf-8-sig").replace(SANDBOX, sandbox))
    except FileNotFoundError as exc:
        raise ScenarioError(f"{file} is not there") from exc
    except IsADirectoryError as exc:
        raise ScenarioError(f"{file} is a folder; name a file in it") from exc
    except OSError as exc:
        raise ScenarioError(f"{file} cannot be read: {exc.strerror}") from exc
    except RecursionError as exc:
        raise ScenarioError(f"{file} is nested too deeply") from exc
    except json_names.RepeatedNameError as exc:
        raise ScenarioError(f"{file}: {exc}; leave one") from exc
    except ValueError as exc:
        raise ScenarioError(f"{file} is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise ScenarioError(f"{file} must hold one JSON object")
    return document
