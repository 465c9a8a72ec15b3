"""What is typed into a call: which steps of the caller it becomes, and when reading ends."""

import os
import threading

import pytest

from calliope_local.call.typed import HELP, MAX_LINE, PATIENCE_S, PIPE_PATIENCE_S, Wish, lines, understand
from calliope_sandbox.callers import parse
from support.running import typed_in


def test_words_are_said_when_the_assistant_has_finished() -> None:
    quiet, say = understand("  Are you open today? ").steps

    assert say == {"say": "Are you open today?"}
    assert quiet["patience_s"] == PATIENCE_S


def test_a_line_of_a_pipe_waits_longer_for_the_answer_to_the_one_before() -> None:
    assert understand("hello", person=False).steps[0]["patience_s"] == PIPE_PATIENCE_S
    assert "wait_for_silence_ms" in understand("/dtmf 1", person=False).steps[0]


@pytest.mark.parametrize(
    ("line", "wish"),
    [
        ("", Wish()),
        ("   ", Wish()),
        ("/hangup", Wish(hangs_up=True)),
        ("/dtmf 12#", Wish(({"dtmf": "12#"},))),
        ("/interrupt Sorry, one question", Wish(({"say": "Sorry, one question"},))),
        ("/help", Wish(told=HELP)),
    ],
)
def test_commands(line: str, wish: Wish) -> None:
    assert understand(line) == wish


@pytest.mark.parametrize("line", ["/dtmf", "/dtmf one", "/interrupt", "/quit"])
def test_a_command_that_cannot_be_understood_says_what_can(line: str) -> None:
    wish = understand(line)

    assert not wish.steps
    assert not wish.hangs_up
    assert "/help" in wish.told or "for example" in wish.told


@pytest.mark.parametrize("line", ["hello", "/dtmf 1", "/interrupt no"])
def test_every_step_is_one_that_callers_of_the_sandbox_follow(line: str) -> None:
    for person in (True, False):
        assert parse(list(understand(line, person=person).steps))


def test_lines_come_until_the_end_also_one_without_a_newline() -> None:
    descriptor = typed_in("one\ntwo\n\nthree")
    try:
        assert list(lines(descriptor, lambda: False)) == ["one", "two", "", "three"]
    finally:
        os.close(descriptor)


def test_a_line_without_end_is_taken_in_pieces() -> None:
    descriptor = typed_in("x" * (2 * MAX_LINE + 5))
    try:
        assert [len(line) for line in lines(descriptor, lambda: False)] == [MAX_LINE, MAX_LINE, 5]
    finally:
        os.close(descriptor)


def test_nothing_is_waited_for_when_the_call_is_over() -> None:
    reading, writing = os.pipe()
    over = threading.Event()
    os.write(writing, b"hello\n")
    try:
        read = []
        for line in lines(reading, over.is_set):
            read.append(line)
            over.set()  # the pipe stays open, as a terminal would
    finally:
        os.close(reading)
        os.close(writing)

    assert read == ["hello"]
