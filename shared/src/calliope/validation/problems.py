"""A contract's validation error as field problems: a sentence that says what the field must be, and a hint."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from calliope.contracts.errors import FieldProblem
from calliope.validation.expectations import Slot, choices, expectation, slot_at
from calliope.validation.hints import choice_hint, hint, named_once
from calliope.validation.messages import FALLBACK, MESSAGES

MOST_PROBLEMS: Final = 50
"""More are counted and not listed: a hostile document would otherwise cost much and be answered at length."""
_LONGEST_STEP: Final = 100


def field_problems(error: ValidationError, model: type[BaseModel] | None = None) -> list[FieldProblem]:
    """What was wrong, field by field. `model` is what was validated, where that is known.

    Never shows a value, except as what it was meant to be: a number, a language or an address.
    """
    items = error.errors(include_url=False)
    found = [_problem(item, model) for item in islice(items, MOST_PROBLEMS)]
    hints = named_once([each.hint for each in found])
    found = [each.model_copy(update={"hint": told}) for each, told in zip(found, hints, strict=True)]
    if left := len(items) - len(found):
        found.append(FieldProblem(path="", message=f"and {left} more, which will be named when these are mended"))
    return found


def _problem(item: Mapping[str, Any], model: type[BaseModel] | None) -> FieldProblem:
    path = tuple(str(step) for step in item["loc"])
    kind = item["type"]
    message, told = _message(kind, item.get("ctx", {})), None
    if kind in {"value_error", "assertion_error"}:
        message, path = _path_in_message(str(item["ctx"]["error"]), path)
    elif model is not None and kind == "extra_forbidden":
        told = hint(path, model, item["input"])
    elif model is not None and (slot := slot_at(path, model)) is not None:
        if kind == "missing":
            message = f"is required: {expectation(slot)}"
        else:
            message = f"must be {expectation(slot)}"
            told = choice_hint(item["input"], choices(slot)) or _meant(slot, item["input"])
    return FieldProblem(path=".".join(_shortened(path)), message=message, hint=told)


def _meant(slot: Slot, value: object) -> str | None:
    """What a text of another form was probably meant to be."""
    read = slot.form.meant if slot.form is not None else None
    return read(value) if read is not None and isinstance(value, str) else None


def _message(kind: str, context: Mapping[str, Any]) -> str:
    return MESSAGES.get(kind, FALLBACK).format_map(context)


def _path_in_message(message: str, path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Rules over several fields name the one to blame first: `llm_provider_config.base_url: required …`."""
    field, colon, rest = message.partition(": ")
    if colon and " " not in field and "," not in field:
        return rest, (*path, *field.split("."))
    return message, path


def _shortened(path: Sequence[str]) -> Iterator[str]:
    for step in path:
        yield step if len(step) <= _LONGEST_STEP else f"{step[:_LONGEST_STEP]}…"
