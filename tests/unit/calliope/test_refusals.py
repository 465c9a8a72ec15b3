"""Every refusal is a sentence that a person understands, whatever stands wherever."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from calliope.contracts.assistants import PhoneNumberSpec
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.errors import FieldProblem
from calliope.validation.expectations import Slot, slot_at
from calliope.validation.messages import FALLBACK, MESSAGES
from calliope.validation.problems import field_problems
from calliope_gateway.http.server import ROUTES
from support.plain_words import riddles, tells_what_is_taken

MODELS = sorted(
    {model for route in ROUTES for model in (route.body, route.query) if model is not None},
    key=lambda model: model.__name__,
)
WRONG: dict[str, Any] = {
    "null": None, "true": True, "whole": 7, "huge": 10**30, "negative": -(10**9), "fraction": 7.25, "empty": "",
    "text": "ten", "quoted": "3", "yes": "yes", "control": "\x00 neither", "long": "x" * 100_000, "list": [],
    "texts": ["ten"], "objects": [{"wrong": [1]}], "object": {}, "unknown": {"wrong": {"type": "object"}},
    "many": ["x"] * 500, "schema": {"type": "strang", "pattern": "^[a-z]+$"},
}  # fmt: skip
"""Values of each JSON type."""
TEXTS = {kind: value for kind, value in WRONG.items() if isinstance(value, str)}


def paths(model: type[BaseModel], slot: Slot | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place of a contract, objects, lists and their elements too."""
    slot = slot or Slot(model)
    kind = slot.annotation
    for name in kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else ():
        inner, here = slot.step(name), (*path, name)
        yield here
        element = inner.step("0") if inner is not None else None
        if element is not None:
            yield (*here, "0")
            yield from paths(model, element, (*here, "0"))
        elif inner is not None:
            yield from paths(model, inner, here)


PLACES = [(model, path) for model in MODELS for path in paths(model)]
NAMES = [f"{model.__name__}-{'.'.join(path)}" for model, path in PLACES]


def refused(model: type[BaseModel], path: tuple[str, ...], value: Any) -> list[FieldProblem]:
    """What is said of a body in which this stands, and nothing else is right."""
    for step in reversed(path):
        value = [value] if step == "0" else {step: value}
    try:
        model.model_validate(value)
    except ValidationError as exc:
        return field_problems(exc, model)
    return []


@pytest.mark.promise("P2")
@pytest.mark.parametrize(("model", "path"), PLACES, ids=NAMES)
def test_no_refusal_is_a_riddle_and_each_says_what_is_taken(model: type[BaseModel], path: tuple[str, ...]) -> None:
    in_a_query = model in {route.query for route in ROUTES}  # which holds texts only
    for kind, value in WRONG.items() if not in_a_query else TEXTS.items():
        for problem in refused(model, path, value):
            said = f"{problem.message} {problem.hint or ''}"
            assert riddles(said) == [], f"{kind} at {problem.path}: {said}"
            if problem.path.startswith(".".join(path)):
                assert tells_what_is_taken(said) or len(said.split()) > 6, f"{kind} at {problem.path}: {said}"


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_every_kind_of_error_has_words_without_a_contract(kind: str) -> None:
    context = dict.fromkeys(("min_length", "max_length", "gt", "ge", "lt", "le", "multiple_of"), 1)
    assert riddles(MESSAGES.get(kind, FALLBACK).format_map(context)) == []


@pytest.mark.parametrize("kind", MESSAGES)
def test_no_words_are_kept_for_a_kind_that_does_not_exist(kind: str) -> None:
    assert kind in get_args(ErrorType)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("value", ["yes", "ten", "true", 1, 0, "1", [True]])
def test_a_boolean_is_true_or_false_and_nothing_else(value: Any) -> None:
    (problem,) = (each for each in refused(AssistantSpec, ("is_active",), value) if each.path == "is_active")
    assert problem.message == "must be true or false, without quotes, such as true"


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("max_idle_messages", "3", "must be a whole number from 0 to 100, such as 3"),
        ("max_idle_messages", True, "must be a whole number from 0 to 100, such as 3"),
        ("max_idle_messages", 2.5, "must be a whole number from 0 to 100, such as 3"),
        ("llm_settings.temperature", "0.5", "must be a number from 0 to 2, such as 0.7"),
        ("llm_settings.temperature", True, "must be a number from 0 to 2, such as 0.7"),
        ("llm_settings.top_p", 0, "must be a number above 0 and of at most 1, such as 0.9"),
        ("llm_provider", "opnai", "must be one of openai, anthropic, gemini, groq, xai, custom"),
        ("name", 7, 'must be text of 1 to 100 characters, such as "Reception"'),
        ("stt_settings.keyterms", "x", 'must be a list of at most 100 items, such as ["Dr. Bell", "root canal"]'),
        ("llm_settings", [], 'must be an object, such as {"temperature": 0.7}'),
        (
            "tools_settings.transfer_call.transfer_numbers.0",
            "0800 123",
            "must be a phone number in international form, such as +15551234567",
        ),
        (
            "custom_settings.structured_data_schema",
            {"type": "strang"},
            "not a JSON Schema: what stands at type must be one of array, boolean, integer, null, number, object, "
            'string; for example {"type": "object", "properties": {"reason": {"type": "string"}}}',
        ),
    ],
)
def test_a_refusal_says_what_belongs_there(path: str, value: Any, message: str) -> None:
    said = {each.path: each.message for each in refused(AssistantSpec, tuple(path.split(".")), value)}
    assert said[path] == message


def test_a_number_without_a_fraction_is_whole_however_it_is_written() -> None:
    found = refused(AssistantSpec, ("max_idle_messages",), 3.0)
    assert [each for each in found if each.path == "max_idle_messages"] == []


def test_a_slip_in_a_choice_is_recognised_without_showing_it() -> None:
    (problem,) = (each for each in refused(PhoneNumberSpec, ("carrier",), "twilo") if each.path == "carrier")
    assert (problem.message, problem.hint) == ("must be one of twilio, telnyx", "did you mean 'twilio'?")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_example_is_taken_where_it_stands(model: type[BaseModel]) -> None:
    for path in paths(model):
        slot = slot_at(path, model)
        for example in slot.examples if slot is not None else ():
            blamed = [each for each in refused(model, path, example) if each.path.startswith(".".join(path))]
            assert [each for each in blamed if each.message.startswith("must be")] == [], path
