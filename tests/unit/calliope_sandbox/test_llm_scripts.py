"""Scripted models: which rule answers."""

from typing import Any

import pytest

from calliope_sandbox.conversations import Conversation, from_chat_body
from calliope_sandbox.llm_scripts import ScriptError, ScriptStore

END_CALL = {"type": "function", "function": {"name": "endCall", "parameters": {"type": "object", "properties": {}}}}
TRANSFER = {
    "type": "function",
    "function": {
        "name": "transferCall",
        "parameters": {
            "type": "object",
            "properties": {"destination": {"type": "string", "enum": ["+15550100", "+15550101"]}},
            "required": ["destination"],
        },
    },
}


def a_talk(*said: str, tools: list[Any] | None = None, **body: Any) -> Conversation:
    """A conversation in which the user said these things, one after the other."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You answer the phone."}]
    for text in said:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
    return from_chat_body({"model": "m", "messages": messages[: 2 * len(said) or 1], "tools": tools or [], **body})


def after_tool(name: str, result: str, *more: str) -> Conversation:
    """A conversation in which the model has got the result of a tool; `more` is said then, by it and by the user."""
    roles = ("assistant", "user")
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return from_chat_body(
        {
            "messages": [
                {"role": "user", "content": "Book it."},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": result},
                *({"role": role, "content": text} for role, text in zip(roles, more, strict=False)),
            ]
        }
    )


def test_the_first_rule_that_matches_the_last_words_answers() -> None:
    scripts = ScriptStore()
    scripts.put({"rules": [{"match": "pizza", "say": "One pizza."}, {"any": True, "say": "Sorry?"}]})

    assert scripts.answer(a_talk("A PIZZA please")).say == "One pizza."
    assert scripts.answer(a_talk("A pizza please", "never mind")).say == "Sorry?"


def test_a_script_for_a_key_leaves_other_keys_to_the_receptionist() -> None:
    scripts = ScriptStore()
    scripts.put({"key": "k1", "rules": [{"say": "mine"}]})

    assert scripts.answer(from_chat_body({"messages": []}, key="k1")).say == "mine"
    assert scripts.answer(from_chat_body({"messages": []}, key="k2")).say == "Hello! How can I help you today?"


def test_a_rule_after_a_tool_sees_its_result() -> None:
    scripts = ScriptStore()
    scripts.put({"rules": [{"match": "Book", "say": "wrong"}, {"after_tool": "book", "say": "It said {tool_result}."}]})

    assert scripts.answer(after_tool("book", "done")).say == "It said done."


def test_an_answer_after_a_tool_that_was_cut_off_is_continued_and_not_answered_anew() -> None:
    scripts = ScriptStore()
    scripts.put({"rules": [{"match": "Book", "say": "wrong"}, {"after_tool": "book", "say": "Table seven is yours."}]})

    talk = after_tool("book", "done", "Table seven", "Your answer above was cut off. Continue it.")

    assert scripts.answer(talk).say == " is yours."


def test_a_rule_for_so_many_times_gives_way_to_the_next() -> None:
    scripts = ScriptStore()
    scripts.put({"rules": [{"times": 1, "fail": {"status": 500}}, {"say": "up again"}]})

    first, second = (scripts.answer(a_talk("hi")) for _ in range(2))

    assert first.fail is not None
    assert second.say == "up again"


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({}, "rules"),
        ({"rules": [{"match": "("}]}, "say"),
        ({"rules": [{"match": "(", "say": "x"}]}, "match"),
        ({"rules": [{"sya": "x"}]}, "sya"),
        ({"rules": [{"tool_calls": [{}]}]}, "name"),
    ],
)
def test_a_script_that_cannot_be_understood_is_refused_in_words(document: dict[str, Any], word: str) -> None:
    with pytest.raises(ScriptError, match=word):
        ScriptStore().put(document)


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("When do you open?", "We are open from nine to six, Monday to Saturday."),
        ("I need a table for two tomorrow.", "Your table for two tomorrow is booked. Is there anything else?"),
        ("My cat is green.", "You said: My cat is green. What else can I do for you?"),
        ("Hello!", "Hello! How can I help you today?"),
    ],
)
def test_the_receptionist_knows_her_trade(said: str, reply: str) -> None:
    assert ScriptStore().answer(a_talk(said)).say == reply


def test_the_receptionist_ends_the_call_only_with_a_tool_for_it() -> None:
    with_tool = ScriptStore().answer(a_talk("Goodbye then", tools=[END_CALL]))
    without = ScriptStore().answer(a_talk("Goodbye then"))

    assert [call.name for call in with_tool.tool_calls] == ["endCall"]
    assert without.tool_calls == ()
    assert with_tool.say == without.say == "Thank you for calling. Goodbye!"


def test_the_receptionist_hands_over_to_a_listed_number() -> None:
    answer = ScriptStore().answer(a_talk("I want to talk to a human", tools=[END_CALL, TRANSFER]))

    assert [(call.name, call.arguments) for call in answer.tool_calls] == [
        ("transferCall", '{"destination": "+15550100"}')
    ]
