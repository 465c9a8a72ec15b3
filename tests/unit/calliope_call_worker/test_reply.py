"""What of a reply becomes history: only what was heard, and everything its tools did."""

import pytest

from calliope.contracts.calls import TurnKind
from calliope_call_worker.conversation import Conversation, from_json, to_json
from calliope_call_worker.providers.llm.base import AssistantMessage, ToolCall, ToolResult, UserMessage
from calliope_call_worker.reply import Reply, Round

CALL = ToolCall("t1", "lookup", '{"q":"x"}')


def a_reply() -> Reply:
    reply = Reply("r1", TurnKind.REPLY, 1, "When are you open?")
    reply.rounds = [
        Round("Let me look. ", [CALL], [ToolResult("t1", "lookup", "nine to five")]),
        Round("We are open from nine to five. "),
    ]
    return reply


def test_a_reply_heard_to_its_end_is_history_with_its_tools() -> None:
    assert a_reply().messages(a_reply().said) == (
        UserMessage("When are you open?"),
        AssistantMessage("Let me look.", (CALL,)),
        ToolResult("t1", "lookup", "nine to five"),
        AssistantMessage("We are open from nine to five."),
    )


@pytest.mark.promise("P6")
def test_of_an_interrupted_reply_only_what_was_heard_is_history() -> None:
    assert a_reply().messages("Let me look. We are ")[-1] == AssistantMessage("We are")


def test_a_tool_stays_history_although_nothing_was_heard() -> None:
    assert a_reply().messages("") == (
        UserMessage("When are you open?"),
        AssistantMessage("", (CALL,)),
        ToolResult("t1", "lookup", "nine to five"),
    )


def test_a_tool_that_did_not_run_has_a_result_that_says_so() -> None:
    reply = Reply("r1", TurnKind.REPLY, 1, "Hi")
    reply.rounds = [Round("", [CALL])]
    assert reply.messages("")[-1] == ToolResult("t1", "lookup", "not run: the caller interrupted")


def test_a_call_whose_effect_has_begun_gets_what_came_of_it() -> None:
    reply = a_reply()
    reply.rounds[0].results.clear()

    last = reply.messages("", lambda turn, call_id: f"{call_id} of turn {turn}")[-1]

    assert last == ToolResult("t1", "lookup", "t1 of turn 1")


def test_a_welcome_has_no_words_of_the_caller() -> None:
    reply = Reply("r1", TurnKind.WELCOME, 0, "Hello!")
    reply.rounds = [Round("Hello! ")]
    assert reply.messages("Hello! ") == (AssistantMessage("Hello!"),)


def test_an_apology_keeps_the_words_that_it_could_not_answer() -> None:
    reply = Reply("r1", TurnKind.APOLOGY, 1, "When are you open?")
    reply.rounds = [Round("I am sorry. ")]
    assert reply.messages("I am sorry. ") == (UserMessage("When are you open?"), AssistantMessage("I am sorry."))


def test_moments_are_told_on_the_call_clock() -> None:
    reply = a_reply()
    reply.moments.stamp("llm_asked", 10.0)
    reply.moments.stamp("llm_asked", 11.0)
    fact = reply.committed("", interrupted=True, ms=lambda at: (at - 9.0) * 1_000)
    assert fact.timings.llm_asked_ms == 1_000.0
    assert fact.timings.first_token_ms is None


def test_messages_survive_the_journal() -> None:
    for message in a_reply().messages(a_reply().said):
        assert from_json(to_json(message)) == message


def test_old_turns_are_forgotten_whole() -> None:
    talk = Conversation(max_characters=100)
    for number in range(10):
        talk.commit((UserMessage(f"{number} " * 10), AssistantMessage("x" * 20)))
    kept = talk.messages()
    assert len(kept) % 2 == 0
    assert isinstance(kept[0], UserMessage)
    assert kept[-2] == UserMessage("9 " * 10)
    assert sum(len(message.text) for message in kept if not isinstance(message, ToolResult)) <= 100


def test_two_calls_never_share_an_id_whatever_the_model_gave_them() -> None:
    """Effect, result and idempotency key are found by it."""
    reply = a_reply()
    ids = []
    for written in ("t1", "t2", "t1", "", ""):
        call = reply.with_own_id(ToolCall(written, "lookup", "{}"))
        reply.rounds[-1].calls.append(call)
        ids.append(call.id)
    assert ids[1] == "t2"
    assert len({CALL.id, *ids}) == 6
