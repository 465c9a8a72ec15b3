"""A call file: what it may say is what the sandbox follows, and what it may not is refused with its place."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from calliope_local import call_parts
from calliope_local.call_file import KINDS, MAX_STEPS, WITHIN_S, CallFile, problems, schema
from calliope_local.scenario import SANDBOX, ScenarioError, load, read_object
from calliope_sandbox import app, callers, faults, llm_scripts
from calliope_sandbox.answers import Fail
from calliope_sandbox.vendors.webhooks import Hook, HookAnswer, HookError

Json = dict[str, Any]
STEPS: list[Json] = [
    {"say": "Hello"},
    {"wait_for": "Anna", "within_s": 5},
    {"wait_for_silence_ms": 500},
    {"wait_for_silence_ms": 500, "patience_s": 2.5},
    {"interrupt": {"after_words": 4, "say": "Sorry"}},
    {"interrupt": {"after_ms": 900.5, "say": "Sorry"}},
    {"dtmf": "12#"},
    {"pause_ms": 0},
    {"hang_up": True},
    {"expect_hang_up": True},
    {"faults": [{"vendor": "openai", "kind": "drop", "after": 2, "times": 1}]},
]
WRONG_STEPS: list[Any] = [
    {},
    "say",
    {"sya": "Hello"},
    {"say": "Hello", "dtmf": "1"},
    {"say": "Hello", "after": 1},
    {"say": " "},
    {"say": 3},
    {"wait_for": ""},
    {"wait_for": "Anna", "within_s": "5"},
    {"wait_for": "Anna", "within_s": -1},
    {"wait_for": "Anna", "patience_s": 1},
    {"wait_for_silence_ms": "500"},
    {"pause_ms": -1},
    {"interrupt": {"after_words": 4}},
    {"interrupt": "Sorry"},
    {"dtmf": 12},
    {"faults": {"vendor": "openai", "kind": "drop"}},
]
RULES: list[Json] = [
    {"say": "Hello"},
    {"match": "open|hours", "turn": 1, "times": 2, "say": "At nine.", "wait_ms": 20},
    {"system": "summary", "json": {"booked": True, "people": None}},
    {"after_tool": True, "say": "Done: {tool_result}"},
    {"after_tool": "book", "tool_calls": [{"name": "end_call"}, {"name": "book", "arguments": {"people": 2}}]},
    {"any": True, "fail": {"status": 429, "retry_after_s": 1.5}, "first_token_ms": 5, "per_token_ms": 1.5},
    {"stall_after": 3, "variants": ["one_chunk"], "finish": "length"},
]
WRONG_RULES: list[Any] = [
    {},
    "say",
    {"match": "open"},
    {"match": "(", "say": "Hello"},
    {"say": "Hello", "when": "open"},
    {"tool_calls": [{"arguments": {}}]},
    {"fail": {"staus": 500}},
]


def refusals(call: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        CallFile.model_validate(call)
    return problems(caught.value)


def follows_schema(call: Any) -> bool:
    return not list(jsonschema.Draft202012Validator(schema()).iter_errors(call))


@pytest.mark.parametrize("step", STEPS, ids=json.dumps)
def test_a_step_of_the_grammar_is_followed_by_the_sandbox(step: Json) -> None:
    CallFile.model_validate({"caller": [step]})
    assert follows_schema({"caller": [step]})
    assert callers.parse([step])[0].kind in step


@pytest.mark.parametrize("step", WRONG_STEPS, ids=json.dumps)
def test_what_the_sandbox_cannot_follow_is_no_step_of_the_grammar(step: Any) -> None:
    with pytest.raises(callers.ScriptError):
        callers.parse([step])
    assert all(problem.startswith("caller[0]") for problem in refusals({"caller": [step]}))
    assert not follows_schema({"caller": [step]})


@pytest.mark.parametrize("rule", RULES, ids=json.dumps)
def test_a_rule_of_the_grammar_is_understood_by_the_scripted_models(rule: Json) -> None:
    call = {"model": {"rules": [rule]}}
    CallFile.model_validate(call)
    assert follows_schema(call)
    llm_scripts.parse_script(call["model"], default_name="x")


@pytest.mark.parametrize("rule", WRONG_RULES, ids=json.dumps)
def test_what_the_scripted_models_do_not_understand_is_no_rule_of_the_grammar(rule: Any) -> None:
    with pytest.raises(llm_scripts.ScriptError):
        llm_scripts.parse_script({"rules": [rule]}, default_name="x")
    assert all(problem.startswith("model.rules[0]") for problem in refusals({"model": {"rules": [rule]}}))


def names_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_grammar_has_every_step_rule_answer_and_fault_of_the_sandbox_and_no_other() -> None:
    assert callers.KINDS == KINDS
    assert (callers.MAX_STEPS, callers.WITHIN_S) == (MAX_STEPS, WITHIN_S)
    assert names_of(call_parts.Rule) == llm_scripts._CONDITIONS | llm_scripts._ANSWERS
    assert names_of(call_parts.Failure) == {field.name for field in fields(Fail)}
    assert names_of(call_parts.Answer) == {field.name for field in fields(HookAnswer)}
    vendor, kind = (call_parts.Fault.model_fields[name].annotation for name in ("vendor", "kind"))
    assert set(vendor.__args__) == app.FAULTY  # type: ignore[union-attr]
    assert set(kind.__args__) == set(faults.KINDS)  # type: ignore[union-attr]


def test_faults_and_receivers_know_the_fields_of_the_sandbox() -> None:
    with pytest.raises(faults.FaultError, match=f"known are {', '.join(sorted(names_of(call_parts.Fault)))}"):
        faults.Faults().arm({"": 1}, app.FAULTY)
    with pytest.raises(HookError, match=f"known are {', '.join(sorted(names_of(call_parts.Receiver)))}"):
        Hook("x").programme({"": 1})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"calls": []}, "unknown calls, did you mean caller? known here are $schema, caller, model, hooks, expect"),
        ({"caller": [{"sya": "Hello"}]}, "caller[0]: is no step (did you mean say?): it needs exactly one of say, "),
        ({"caller": [{"wait_for": "a", "within_s": "5"}]}, "caller[0].within_s: must be a number without quotes"),
        ({"caller": []}, "caller: must have at least 1 items"),
        ({"expect": {"ended_reason": "bye"}}, 'expect.ended_reason: must be "caller_hung_up", "assistant_ended"'),
        ({"expect": {"events": ["strated"]}}, "expect.events[0]: must be an event of a call: "),
        ({"expect": {"heard": "Hello"}}, "expect.heard: must be a list"),
        ({"hooks": {"a": {"answer": {"status": "200"}}}}, "hooks.a.answer.status: must be a whole number"),
        ({"model": {"rules": [{"match": "("}]}}, "model.rules[0].match: is not a pattern of Python's re"),
        ({"model": {"rules": [{"match": "a"}]}}, "model.rules[0]: needs an answer: one of say, tool_calls"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_is_known_there(call: Json, words: str) -> None:
    (problem,) = refusals(call)
    assert problem.startswith(words)


def test_every_problem_of_a_file_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    beside = tmp_path / "a.call.json"
    beside.write_text(json.dumps({"caller": [{"say": 3}], "expect": {"herd": []}}), encoding="utf-8")

    with pytest.raises(ScenarioError) as caught:
        load(tmp_path / "a.json", SANDBOX)

    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{beside}: caller[0].say: must be text")
    assert second.startswith(f"{beside}: expect: unknown herd, did you mean heard?")


def test_no_pydantic_word_reaches_a_person() -> None:
    wrong: Json = {
        "caller": [{"hang_up": "yes"}, None],
        "model": {"rules": 3},
        "hooks": [],
        "expect": {"events": [3], "structured_data": []},
    }
    told = " ".join(refusals(wrong))
    assert not [word for word in ("Input", "valid", "instance", "dict", "NoneType", "str ", "pydantic") if word in told]


def test_what_is_no_readable_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 99_999)
    for file, words in ((tmp_path, "is a folder; name a file in it"), (deep, "is nested too deeply")):
        with pytest.raises(ScenarioError, match=words):
            read_object(file, "http://sandbox")
    with pytest.raises(ScenarioError, match="cannot be read: Not a directory"):
        read_object(deep / "x.json", "http://sandbox")


def test_a_name_that_stands_there_twice_is_refused_instead_of_taking_one_of_them(tmp_path: Path) -> None:
    twice = tmp_path / "twice.json"
    twice.write_text('{"name": "Anna", "tools_settings": {"end_call": {}, "end_call": {"enabled": true}}}')
    with pytest.raises(ScenarioError, match="'end_call' stands there more than once in the same object; leave one"):
        read_object(twice, "http://sandbox")


def test_a_file_as_editors_of_windows_write_it_is_read(tmp_path: Path) -> None:
    marked = tmp_path / "marked.json"
    marked.write_text('\ufeff{"name": "Änna"}', encoding="utf-8")
    assert read_object(marked, "http://sandbox") == {"name": "Änna"}
