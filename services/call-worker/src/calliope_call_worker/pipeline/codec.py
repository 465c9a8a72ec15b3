"""Inputs and decisions of turn taking as JSON objects and back: `{"type": "reply_done", "reply_id": "r1"}`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar, get_args

from calliope_call_worker.pipeline import events as ev

T = TypeVar("T")


def _name(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_INPUTS: dict[str, type[ev.Input]] = {_name(kind): kind for kind in get_args(ev.Input)}
_DECISIONS: dict[str, type[ev.Decision]] = {_name(kind): kind for kind in get_args(ev.Decision)}


def to_json(value: ev.Input | ev.Decision) -> dict[str, Any]:
    """Plain JSON types only; what has its default value is left out."""
    defaults = {field.name: field.default for field in fields(value)}
    facts = {name: fact for name, fact in asdict(value).items() if fact != defaults[name]}
    return {"type": _name(type(value))} | {n: list(f) if isinstance(f, tuple) else f for n, f in facts.items()}


def input_from_json(data: Mapping[str, Any]) -> ev.Input:
    """Raises: ValueError, when it is no input."""
    return _build(_INPUTS, data)


def decision_from_json(data: Mapping[str, Any]) -> ev.Decision:
    """Raises: ValueError, when it is no decision."""
    return _build(_DECISIONS, data)


def _build(kinds: Mapping[str, type[T]], data: Mapping[str, Any]) -> T:
    kind = kinds.get(str(data.get("type")))
    if kind is None:
        raise ValueError(f"unknown type {data.get('type')!r}; known: {', '.join(sorted(kinds))}")
    facts = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in data.items() if name != "type"}
    try:
        return kind(**facts)
    except TypeError as exc:
        raise ValueError(f"{data['type']}: {exc}") from exc
