"""Tools in a call, through all services: what the model may do, what the caller hears meanwhile, what is written."""

import json

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, House, Json, a_document, names
from support.scenes import Scene, Seen, call_of, played, unique

READY: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
HOLD_ON = "Let me look that up for you."
TOLD: Json = {"after_tool": True, "say": "It says {tool_result}."}
SO = "Certainly it is so."


def ask(*more: Json, until: str = "It says", words: str = "look it up") -> list[Json]:
    return [*READY, {"say": words}, *more, {"wait_for": until}, {"wait_for_silence_ms": 300}, {"hang_up": True}]


def definition(url: str, **more: object) -> Json:
    return {
        "name": "lookup",
        "description": "Looks something up.",
        "url": url,
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}, "seats": {"type": "integer", "minimum": 1}},
            "required": ["day"],
            "additionalProperties": False,
        },
        **more,
    }


def looking_up(
    sandbox: str,
    script: list[Json],
    *rules: Json,
    answer: Json | None = None,
    built_in: Json | None = None,
    **more: object,
) -> Scene:
    tool = unique("lookup")
    return Scene(
        script,
        rules or [TOLD, {"tool_calls": [call_of("lookup", day="Monday", seats=4)]}],
        {
            "tools_settings": {"custom_tools": [definition(f"{sandbox}/tools/{tool}", **more)], **(built_in or {})},
            "interruption_settings": {
                "interruption_threshold": 2,
                "min_speaking_time": 0.2,
                "interruption_cooldown": 0,
            },
        },
        {tool: answer or {"body": "open at nine"}},
    )


def scenes(sandbox: str) -> dict[str, Scene]:
    lookup = call_of("lookup", day="Monday", seats=4)
    return {
        "plain": looking_up(sandbox, ask(), auth_token="t0ps3cret", headers={"X-Shop": "7"}),
        "with GET": looking_up(sandbox, ask(), method="GET"),
        "invalid": looking_up(
            sandbox,
            ask(),
            {"after_tool": True, "say": "It says {tool_result}"},
            {"tool_calls": [call_of("lookup", seats=0)]},
        ),
        "no JSON": looking_up(sandbox, ask(), TOLD, {"tool_calls": [{"name": "lookup", "arguments": "{day:"}]}),
        "unknown": looking_up(sandbox, ask(), TOLD, {"tool_calls": [call_of("launch", day="now")]}),
        "hold on": looking_up(
            sandbox, ask(), answer={"body": "open at nine", "delay_ms": 2_500}, speak_while_running=HOLD_ON
        ),
        "own words": looking_up(
            sandbox, ask(), TOLD, {"say": "I will have a look.", "tool_calls": [lookup]}, speak_while_running=HOLD_ON
        ),
        "slow": looking_up(sandbox, ask(), answer={"delay_ms": 3_000}, timeout_s=0.5),
        "broken": looking_up(sandbox, ask(), answer={"status": 500, "body": "out of order"}),
        "several": looking_up(sandbox, ask(), TOLD, {"tool_calls": [lookup, call_of("lookup", day="Sunday")]}),
        "again": looking_up(
            sandbox,
            ask(),
            {"after_tool": True, "tool_calls": [call_of("lookup", day="Tuesday")], "times": 1},
            TOLD,
            {"tool_calls": [lookup]},
        ),
        "interrupted": looking_up(
            sandbox,
            [
                *READY,
                {"say": "look it up"},
                {"interrupt": {"after_words": 3, "say": "please be quick about it"}},
                {"wait_for": "it is so"},
                {"hang_up": True},
            ],
            {"match": "quick", "say": SO},
            TOLD,
            {"tool_calls": [lookup]},
            answer={"body": "open at nine", "delay_ms": 2_500},
            speak_while_running=HOLD_ON + " It takes me a while to find the right page in this big book.",
        ),
        "hung up meanwhile": looking_up(
            sandbox,
            [*READY, {"say": "look it up"}, {"wait_for": HOLD_ON}, {"hang_up": True}],
            answer={"body": "open at nine", "delay_ms": 3_000},
            speak_while_running=HOLD_ON,
        ),
        "tools for ever": looking_up(
            sandbox,
            ask(until="say that again"),
            {"tool_calls": [lookup]},
        ),
        "end beside a tool": looking_up(
            sandbox,
            [*READY, {"say": "book it and bye"}, {"expect_hang_up": True}],
            {"say": "It is booked. Goodbye.", "tool_calls": [lookup, call_of("end_call")]},
            built_in={"end_call": {"enabled": True}},
        ),
    }


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    return played(stack, scenes(stack.address("sandbox")))


def test_every_caller_could_follow_the_script(seen: dict[str, Seen]) -> None:
    failed = {name: (talk.call["failed"], talk.call["problems"], talk.assistant) for name, talk in seen.items()}
    assert {name: what for name, what in failed.items() if what[0] or what[1]} == {}


def test_a_tool_gets_checked_arguments_and_a_key_and_its_answer_is_spoken(seen: dict[str, Seen]) -> None:
    talk = seen["plain"]

    (asked,) = talk.tools
    assert (asked["method"], asked["body"]) == ("POST", {"day": "Monday", "seats": 4})
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    (started,) = talk.facts("tool_started")
    assert headers["idempotency-key"] == started["idempotency_key"]
    assert (headers["authorization"], headers["x-shop"]) == ("Bearer t0ps3cret", "7")
    assert talk.assistant == [GREETING, "It says open at nine."]
    assert "t0ps3cret" not in json.dumps(talk.record)


def test_the_effect_is_written_before_and_after_and_told_to_the_model(seen: dict[str, Seen]) -> None:
    talk = seen["plain"]

    told = names(talk.record)
    assert told.index("turn_started") < told.index("tool_started") < told.index("tool_finished")
    (started,), (finished,) = talk.facts("tool_started"), talk.facts("tool_finished")
    assert (started["name"], started["arguments"]) == ("lookup", {"day": "Monday", "seats": 4})
    assert (finished["tool_call_id"], finished["ok"], finished["result"]) == (
        started["tool_call_id"],
        True,
        "open at nine",
    )
    assert talk.results == ["open at nine"]


def test_GET_sends_the_arguments_as_query(seen: dict[str, Seen]) -> None:  # noqa: N802 - the method's name
    (asked,) = seen["with GET"].tools
    assert (asked["method"], asked["query"], asked["body"]) == ("GET", {"day": "Monday", "seats": "4"}, None)


@pytest.mark.parametrize(
    ("name", "words"), [("invalid", "day"), ("no JSON", "not JSON"), ("unknown", "no tool named launch")]
)
def test_a_call_that_does_not_fit_is_told_to_the_model_and_has_no_effect(
    seen: dict[str, Seen], name: str, words: str
) -> None:
    talk = seen[name]

    assert (talk.tools, talk.facts("tool_started")) == ([], [])
    assert words in talk.results[0]
    assert talk.assistant[1].startswith("It says")


def test_the_caller_is_told_to_hold_on_while_a_tool_runs(seen: dict[str, Seen]) -> None:
    talk = seen["hold on"]

    assert talk.assistant == [GREETING, f"{HOLD_ON} It says open at nine."]
    assert talk.heard == f"{GREETING} {HOLD_ON} It says open at nine."


def test_the_models_own_words_beside_a_tool_call_are_spoken_instead(seen: dict[str, Seen]) -> None:
    assert seen["own words"].assistant == [GREETING, "I will have a look. It says open at nine."]


def test_a_slow_tool_is_given_up_and_never_asked_again(seen: dict[str, Seen]) -> None:
    talk = seen["slow"]

    assert len(talk.tools) == 1
    assert talk.facts("tool_finished")[0]["ok"] is False
    assert talk.results == ["the tool did not answer within 0.5 seconds"]


def test_a_broken_tool_is_told_to_the_model_with_its_status(seen: dict[str, Seen]) -> None:
    assert seen["broken"].results == ["the tool answered with status 500: out of order"]
    assert len(seen["broken"].tools) == 1


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [("broken", "error", "answered with status 500"), ("slow", "deadline", "no answer within 0.5 s")],
)
def test_a_tool_that_fails_is_a_problem_of_the_call(seen: dict[str, Seen], name: str, reason: str, detail: str) -> None:
    record = seen[name].record
    (problem,) = record["problems"]
    assert (problem["stage"], problem["provider"], problem["reason"]) == ("tool", "lookup", reason)
    assert (problem["detail"], problem["count"], record["problem_count"]) == (detail, 1, 1)
    assert record["tools"] == [{"name": "lookup", "calls": 1, "failed": 1}]


def test_several_calls_of_one_answer_each_get_their_result(seen: dict[str, Seen]) -> None:
    talk = seen["several"]

    assert sorted(str(asked["body"]["day"]) for asked in talk.tools) == ["Monday", "Sunday"]
    assert len({started["idempotency_key"] for started in talk.facts("tool_started")}) == 2
    assert talk.results == ["open at nine"] * 2


def test_a_model_may_use_tools_one_after_the_other(seen: dict[str, Seen]) -> None:
    talk = seen["again"]

    assert [asked["body"]["day"] for asked in talk.tools] == ["Monday", "Tuesday"]
    assert len({started["idempotency_key"] for started in talk.facts("tool_started")}) == 2
    assert talk.assistant == [GREETING, "It says open at nine."]


def test_a_caller_who_speaks_while_a_tool_runs_neither_cancels_nor_repeats_it(seen: dict[str, Seen]) -> None:
    talk = seen["interrupted"]

    assert len(talk.tools) == 1
    assert talk.tools[0]["answered"]
    (finished,) = talk.facts("tool_finished")
    assert finished["ok"]
    assert talk.users == ["look it up", "please be quick about it"]
    assert "open at nine" in talk.results


def test_a_caller_who_hangs_up_does_not_undo_a_tool_and_its_outcome_is_in_the_turn(seen: dict[str, Seen]) -> None:
    talk = seen["hung up meanwhile"]

    assert [tool["answered"] for tool in talk.tools] == [True]
    told = [name for name in names(talk.record) if name != "analyzed"]  # which may have come meanwhile
    assert told[-3:] == ["tool_finished", "turn_committed", "ended"]
    (turn,) = [turn for turn in talk.facts("turn_committed") if turn["kind"] == "reply"]
    assert turn["messages"][-1]["content"] == "open at nine"
    assert turn["assistant_text"] == HOLD_ON


def test_a_model_that_only_calls_tools_does_not_leave_the_caller_in_silence(seen: dict[str, Seen]) -> None:
    talk = seen["tools for ever"]

    assert len(talk.tools) == len(talk.asked) == 6
    assert talk.assistant == [GREETING, "I am sorry, I have a technical problem. Please say that again."]


def test_a_tool_called_beside_the_end_of_the_call_is_run_once(seen: dict[str, Seen]) -> None:
    talk = seen["end beside a tool"]

    assert len(talk.tools) == 1
    assert talk.heard == f"{GREETING} It is booked. Goodbye."
    assert [finished["name"] for finished in talk.facts("tool_finished")] == ["lookup", "end_call"]
    assert talk.record["ended_reason"] == "assistant_ended"


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://10.0.0.7/x", "http://[fd00::1]/x"])
async def test_a_tool_cannot_point_into_a_private_network(house: House, url: str) -> None:
    tool = {"name": "steal", "description": "Reads what it must not.", "url": url}

    refused = await house.api("POST", "/api/v1/assistants", a_document(tools_settings={"custom_tools": [tool]}))

    assert refused.status == 422
    assert "url" in json.dumps(refused.body)
