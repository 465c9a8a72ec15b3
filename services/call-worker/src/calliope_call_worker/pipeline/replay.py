"""Decides a recorded call again, from what its turn taking saw: the same decisions, or the first that differ.

A recording is JSON lines: first `{"settings": {...}}`, then `{"now": 1.5, "input": {...}, "decisions": [...]}` each.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.codec import decision_from_json, input_from_json, to_json
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine


@dataclass(frozen=True, slots=True)
class Difference:
    """The first input that is decided otherwise now."""

    line: int
    now: float
    event: ev.Input
    recorded: tuple[ev.Decision, ...]
    decided: tuple[ev.Decision, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a recording was decided again; without a difference all of it was decided as it had been."""

    inputs: int
    difference: Difference | None


def settings_record(settings: TurnSettings) -> dict[str, Any]:
    """The first line of a recording."""
    return {"settings": asdict(settings)}


def record(event: ev.Input, now: float, decisions: Sequence[ev.Decision]) -> dict[str, Any]:
    """One further line of a recording."""
    return {"now": now, "input": to_json(event), "decisions": [to_json(decision) for decision in decisions]}


def replay(lines: Iterable[str], overrides: Mapping[str, Any] | None = None) -> Replayed:
    """Decide the recording again, with some settings changed if wanted, up to the first difference.

    Raises: ValueError, when a line is not part of a recording, or a setting does not exist.
    """
    machine: TurnMachine | None = None
    inputs = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        data = _parse(line, number)
        if machine is None or "settings" in data:
            machine = TurnMachine(changed(_settings(data.get("settings", {}), number), overrides or {}))
        if "settings" in data:
            continue
        event, now, recorded = _read(data, number)
        decided = machine.decide(event, now)
        inputs += 1
        if decided != recorded:
            return Replayed(inputs, Difference(number, now, event, recorded, decided))
    return Replayed(inputs, None)


def changed(settings: TurnSettings, overrides: Mapping[str, Any]) -> TurnSettings:
    """The settings with these values. Raises: ValueError, for a name or value that does not fit."""
    for name, value in overrides.items():
        if name not in {field.name for field in fields(TurnSettings)}:
            raise ValueError(f"unknown setting {name!r}")
        default = getattr(TurnSettings(), name)
        if name.endswith("_phrases"):
            texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
            fits, wanted = value is None or texts, "a list of texts or null"
        elif isinstance(default, bool | str):
            fits, wanted = type(value) is type(default), "true or false" if isinstance(default, bool) else "a text"
        else:
            fits = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            wanted = "a number or null"
        if not fits:
            raise ValueError(f"{name}: {wanted}, not {value!r}")
    overrides = {name: tuple(value) if isinstance(value, list) else value for name, value in overrides.items()}
    return replace(settings, **overrides)


def _parse(line: str, number: int) -> dict[str, Any]:
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError(f"line {number}: not an object")  # noqa: TRY004 - one error for every bad recording
    return data


def _settings(data: Mapping[str, Any], number: int) -> TurnSettings:
    try:
        return changed(TurnSettings(), data)
    except ValueError as exc:
        raise ValueError(f"line {number}: {exc}") from exc


def _read(data: Mapping[str, Any], number: int) -> tuple[ev.Input, float, tuple[ev.Decision, ...]]:
    try:
        decisions = tuple(decision_from_json(decision) for decision in data["decisions"])
        return input_from_json(data["input"]), float(data["now"]), decisions
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"line {number}: {exc}") from exc
