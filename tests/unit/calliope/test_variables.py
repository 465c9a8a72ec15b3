"""Variables and time zones of a document: what is not known is refused when it is written, with what was meant."""

from typing import Any

import pytest
from pydantic import ValidationError

from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.variables import CALL_VARIABLES
from calliope.contracts.errors import FieldProblem
from calliope.validation.problems import field_problems
from calliope.validation.variables import variable_problems


def problems(**document: Any) -> list[FieldProblem]:
    try:
        spec = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **document})
    except ValidationError as exc:
        return field_problems(exc, AssistantSpec)
    return variable_problems(spec.model_dump(mode="json"))


def a_tool(line: str) -> dict[str, Any]:
    tool = {"name": "book", "description": "Books.", "url": "https://example.com", "speak_while_running": line}
    return {"custom_tools": [tool]}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("llm_settings.system_prompt", {"llm_settings": {"system_prompt": "Hi {{caller.nmber}}"}}),
        ("llm_settings.welcome_message", {"llm_settings": {"welcome_message": "Hi {{ customer.number }}"}}),
        ("idle_message", {"idle_message": "Hi {{Caller_Number}}"}),
        ("messages.apology", {"messages": {"apology": "{{user_number}}"}}),
        ("messages.last_resort", {"messages": {"last_resort": "{{callerNumber}}"}}),
        (
            "tools_settings.end_call.custom_message",
            {"tools_settings": {"end_call": {"custom_message": "{{caller-number}}"}}},
        ),
        (
            "tools_settings.transfer_call.custom_message",
            {"tools_settings": {"transfer_call": {"custom_message": "{{caller.numbers}}"}}},
        ),
        ("tools_settings.custom_tools.0.speak_while_running", {"tools_settings": a_tool("{{caller.phone_number}}")}),
    ],
)
def test_an_unknown_variable_is_named_with_its_field_and_the_nearest(path: str, document: dict[str, Any]) -> None:
    (problem,) = problems(**document)
    assert (problem.path, problem.hint) == (path, "did you mean {{caller.number}}?")
    assert "which is not known" in problem.message


def test_what_resembles_nothing_is_told_what_there_is() -> None:
    (problem,) = problems(idle_message="{{zzz}} and {{zzz}}")
    assert problem.message == "holds the variable {{zzz}}, which is not known"
    assert problem.hint is not None
    assert all(name in problem.hint for name in ("variables", *CALL_VARIABLES))


def test_braces_without_a_name_are_refused_with_the_way_to_write_them() -> None:
    (problem,) = problems(llm_settings={"system_prompt": 'Answer {{"a": 1}}'})
    assert problem.hint is not None
    assert r"\{{" in problem.hint
    assert problems(llm_settings={"system_prompt": r'Answer \{{"a": 1}}'}) == []


def test_every_variable_of_the_call_and_of_the_document_is_taken() -> None:
    text = " ".join(f"{{{{{name}}}}}" for name in (*CALL_VARIABLES, "hours"))
    assert problems(idle_message=text, variables={"hours": "nine to six"}) == []


@pytest.mark.parametrize(
    ("name", "words"), [("now", "filled in by each call"), ("two words", "letters"), ("", "letters"), ("9", "letters")]
)
def test_a_name_that_cannot_be_a_variable_is_refused_in_words(name: str, words: str) -> None:
    (problem,) = problems(variables={name: "x"})
    assert problem.path == "variables"
    assert words in problem.message
    assert "[" not in problem.message


def test_a_text_must_fit_with_its_variables_filled_in() -> None:
    (problem,) = problems(idle_message="{{long}} {{long}}", variables={"long": "x" * 1_500})
    assert (problem.path, problem.message) == (
        "idle_message",
        "is longer than 2000 characters when its variables are filled in",
    )
    (own,) = problems(idle_message="x" * 1_980 + "{{caller.number}}")
    assert own.path == "idle_message"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("europe/madrid", "Europe/Madrid"),
        ("Madrid", "Europe/Madrid"),
        ("Europe/Madird", "Europe/Madrid"),
        ("New York", "America/New_York"),
        ("US/New_York", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_wrong_time_zone_is_refused_with_the_nearest(given: str, nearest: str) -> None:
    (problem,) = problems(time_zone=given)
    assert problem.path == "time_zone"
    assert problem.message.endswith(f"did you mean {nearest}?")


@pytest.mark.parametrize("given", ["", "+02:00", "x" * 65, 2, "../etc/passwd", "\x00"])
def test_what_is_no_zone_at_all_is_refused_with_an_example(given: Any) -> None:
    (problem,) = problems(time_zone=given)
    assert problem.path == "time_zone"
    assert "such as Europe/Madrid" in problem.message


@pytest.mark.parametrize("given", ["Europe/Madrid", "UTC", "America/Argentina/Buenos_Aires", None])
def test_a_zone_of_the_list_is_taken(given: str | None) -> None:
    assert problems(time_zone=given) == []
