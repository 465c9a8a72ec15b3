"""A value of the wrong type is refused wherever it stands in the assistant document, and its field is named."""

from typing import Any

import pytest
from pydantic import ValidationError

from calliope.contracts.document.spec import AssistantSpec
from calliope.validation.problems import field_problems
from contract.generated.fields import fields

PATHS = [path for path, _, _ in fields()]
WRONG: tuple[Any, ...] = ([{"wrong": [1]}], 7.25, {"wrong": {"type": "object"}}, "\x00 neither")
"""No field takes all of these: a list of objects, a fraction, an object, a text with a control character."""


def with_value(path: str, value: Any) -> dict[str, Any]:
    """A document in which only this field is given, besides what is required."""
    for step in reversed(path.split(".")):
        name, many, _ = step.partition("[]")
        value = {name: [value] if many else value}
    document: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "k"}}
    for name, inner in value.items():
        document[name] = (
            {**document[name], **inner} if isinstance(document.get(name), dict) and isinstance(inner, dict) else inner
        )
    return document


def blamed(path: str, value: Any) -> list[str]:
    """The fields that are named when the value stands there."""
    try:
        AssistantSpec.model_validate(with_value(path, value))
    except ValidationError as exc:
        return [problem.path for problem in field_problems(exc, AssistantSpec)]
    return []


@pytest.mark.promise("P2")
@pytest.mark.parametrize("path", PATHS)
def test_a_value_of_the_wrong_type_is_refused_and_its_field_named(path: str) -> None:
    place = path.replace("[]", ".0")
    refused = [value for value in WRONG if any(named.startswith(place) for named in blamed(path, value))]
    assert len(refused) >= 2, f"{path} takes {WRONG}"


@pytest.mark.parametrize("path", PATHS)
def test_a_refusal_of_a_type_never_shows_the_value(path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate(with_value(path, [{"canary": ["sk-canary"]}]) | {"unknown": 1})
    assert "canary" not in str(field_problems(caught.value, AssistantSpec))
