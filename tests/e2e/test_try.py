"""`make try`: calls are played several at once without answering for each other, and a failure says why."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from calliope_local.call_tests import Result, play_all
from calliope_local.http import request
from calliope_local.stack import LocalStack

Json = dict[str, Any]
GREETING = "Hello, who is speaking?"


def an_assistant(**changes: Any) -> Json:
    tool = {
        "name": "look_up",
        "description": "Looks somebody up.",
        "url": "http://127.0.0.1:8090/hooks/people",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    return {
        "name": "Desk",
        "llm_provider_config": {"api_key": "sandbox-openai", "model": "gpt-4o-mini"},
        "llm_settings": {"system_prompt": "You are the desk.", "welcome_message": GREETING},
        "tools_settings": {"custom_tools": [tool], "end_call": {"enabled": True, "scenarios": ["goodbye"]}},
        **changes,
    }


def a_call(name: str, room: str, **expect: Any) -> Json:
    """Everybody says the same words to models with the same key and tools with the same URL, and is told his room."""
    return {
        "caller": [
            {"wait_for": "speaking"},
            {"wait_for_silence_ms": 300},
            {"say": "It is me, where do I go"},
            {"wait_for": "room"},
            {"hang_up": True},
        ],
        "model": {
            "rules": [
                {"match": "where", "tool_calls": [{"name": "look_up", "arguments": {"name": name}}]},
                {"after_tool": "look_up", "say": f"{name} goes to room {{tool_result}}"},
            ]
        },
        "hooks": {"people": {"answer": {"body": room}}},
        "expect": {"ended_reason": "caller_hung_up", "heard": [f"{name} goes to room"], **expect},
    }


@pytest.fixture(scope="module")
def results(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    folder = tmp_path_factory.mktemp("mine")
    files = {
        "ada": (an_assistant(), a_call("Ada", "one")),
        "bob": (an_assistant(), a_call("Bob", "two")),
        "eve": (an_assistant(), a_call("Eve", "three", heard=["room nine"], ended_reason="idle")),
        "bad": (an_assistant(idle_timeout="ten"), a_call("Bad", "none")),
        "away": (
            an_assistant(is_active=False),
            {"caller": [{"expect_hang_up": True}], "expect": {"ended_reason": "refused"}},
        ),
        "broken": (
            an_assistant(),
            a_call("Max", "four")
            | {
                "caller": [
                    {"faults": [{"vendor": "tools", "kind": "refuse", "after": None}]},
                    {"wait_for": "speaking"},
                    {"hang_up": True},
                ],
                "expect": {},
            },
        ),
    }
    for name, (assistant, call) in files.items():
        (folder / f"{name}.json").write_text(json.dumps(assistant), encoding="utf-8")
        (folder / f"{name}.call.json").write_text(json.dumps(call), encoding="utf-8")
    played = play_all(stack, [folder / f"{name}.json" for name in files], at_once=4)
    yield {result.file.stem: result for result in played}
    request("POST", f"{stack.address('sandbox')}/sandbox/reset", {})


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_calls_at_the_same_time_have_models_and_receivers_of_their_own(results: dict[str, Result], name: str) -> None:
    assert results[name].failures == ()
    assert any(GREETING in line for line in results[name].talk)


def test_a_call_that_is_refused_can_be_expected(results: dict[str, Result]) -> None:
    assert results["away"].failures == ()


def test_what_was_expected_and_did_not_come_is_a_failure_in_words(results: dict[str, Result]) -> None:
    assert results["eve"].failures == (
        "it ended with caller_hung_up, not with idle",
        "the caller did not hear “room nine”, or not in its turn",
    )


def test_an_assistant_that_the_api_refuses_fails_with_what_the_api_says(results: dict[str, Result]) -> None:
    assert results["bad"].failures[0] == "the assistant document was refused"
    assert "idle_timeout: must be a whole number" in results["bad"].failures[1]


def test_a_call_that_breaks_things_is_played_after_the_others(results: dict[str, Result]) -> None:
    assert results["broken"].failures == ()
    assert list(results)[-1] == "broken"
