"""Conversations are made fit for every vendor, whatever a call did to them."""

from calliope_call_worker.providers.llm.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from calliope_call_worker.providers.llm.history import CANCELLED, alternating, arguments_of, settled

HI, YES = UserMessage("Hi"), UserMessage("Yes")
CALL, OTHER = ToolCall("c1", "book", "{}"), ToolCall("c2", "pay", "{}")


def test_what_is_fit_stays_as_it_is() -> None:
    fit = (HI, AssistantMessage("Sure.", (CALL,)), ToolResult("c1", "book", "ok"), AssistantMessage("Done."), YES)
    assert settled(fit) == alternating(fit) == fit


def test_a_call_that_was_cut_off_gets_a_result_in_its_place() -> None:
    cut = (HI, AssistantMessage("", (CALL, OTHER)), ToolResult("c2", "pay", "paid"), YES)
    assert settled(cut)[2:] == (ToolResult("c1", "book", CANCELLED), ToolResult("c2", "pay", "paid"), YES)


def test_results_without_a_call_and_words_that_say_nothing_are_left_out() -> None:
    assert settled((HI, ToolResult("gone", "book", "ok"), AssistantMessage(" \n"), UserMessage(""), YES)) == (HI, YES)


def test_ids_that_a_server_repeats_are_told_apart_in_calls_and_results() -> None:
    turn: tuple[Message, ...] = (
        AssistantMessage("", (CALL, CALL)),
        ToolResult("c1", "book", "one"),
        ToolResult("c1", "book", "two"),
    )
    said = settled((HI, *turn, YES, *turn))
    calls = [call.id for message in said if isinstance(message, AssistantMessage) for call in message.tool_calls]
    results = [message for message in said if isinstance(message, ToolResult)]
    assert len(set(calls)) == 4
    assert [result.tool_call_id for result in results] == calls
    assert [result.content for result in results] == ["one", "two", "one", "two"]


def test_the_caller_has_the_first_and_the_last_word() -> None:
    for messages in ((), (AssistantMessage("Welcome!"),), (HI, AssistantMessage("Hello"))):
        said = alternating(messages)
        assert isinstance(said[0], UserMessage)
        assert isinstance(said[-1], UserMessage)
    assert isinstance(alternating((HI, AssistantMessage("", (CALL,))))[-1], ToolResult)


def test_arguments_that_are_no_object_are_kept_for_the_model_to_see() -> None:
    assert arguments_of(ToolCall("c", "book", '{"n": 1}')) == {"n": 1}
    assert arguments_of(ToolCall("c", "book", "[1]")) == {"arguments": [1]}
    assert arguments_of(ToolCall("c", "book", "{broken")) == {"arguments": "{broken"}
