"""`make assistant` and `make call` on a running stack: what a newcomer types, and what is told."""

import json
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calliope_local.folder import FolderLock
from calliope_local.http import request
from calliope_local.stack import LocalStack

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER, BOOKINGS = "+15557770001", "+15557770002"
LONGEST_S = 90
PRACTICE: dict[str, Any] = {
    "name": "Doctor Keller's front desk",
    "llm_provider_config": {"api_key": "sandbox-openai", "model": "gpt-4o-mini"},
    "llm_settings": {"welcome_message": "Dental practice of Doctor Keller. How can I help you?"},
    "tools_settings": {"end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]}},
}


@pytest.fixture(scope="module")
def folder(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `make up` would have started the stack."""
    here = tmp_path_factory.mktemp("newcomer")
    with FolderLock(here / ".calliope"):
        (here / ".calliope" / "local.json").write_text(json.dumps(stack.describe()))
        (here / "practice.json").write_text(json.dumps(PRACTICE))
        yield here


def run(folder: Path, *arguments: str, typed: str = "") -> tuple[int, str]:
    """Exit status and everything that was printed."""
    ended = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "calliope_local", *arguments],
        cwd=folder,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    return ended.returncode, ended.stdout


@pytest.fixture(scope="module")
def practice(folder: Path) -> str:
    status, told = run(folder, "assistant", "--file", "practice.json", "--number", NUMBER)
    assert status == 0, told
    assert "Warning" not in told
    return NUMBER


def order_of(told: str, *texts: str) -> bool:
    places = [told.find(text) for text in texts]
    return -1 not in places and places == sorted(places)


@pytest.mark.promise("P1")
def test_one_sentence_is_said_its_answer_heard_and_the_call_ends(folder: Path, practice: str) -> None:
    status, told = run(folder, "call", "--number", practice, "--text", "What are your opening hours?")

    assert status == 0, told
    assert order_of(
        told,
        "assistant  Dental practice of Doctor Keller. How can I help you?",
        "caller     What are your opening hours?",
        "assistant  We are open from nine to six, Monday to Saturday.",
        "What each answer waited for",
        "Ended: caller_hung_up (the caller hung up)",
        "No problems.",
        "/api/v1/calls/call_",
    ), told


def test_lines_of_a_pipe_are_said_one_after_the_answer_to_the_other(folder: Path, practice: str) -> None:
    typed = "hello there\n/what\nThank you, goodbye\n"

    status, told = run(folder, "call", "--number", practice, "--voice", typed=typed)

    assert status == 0, told
    assert "/what is no command; /help lists them" in told
    assert order_of(
        told,
        "caller     hello there",
        "assistant  You said: hello there. What else can I do for you?",
        "caller     Thank you, goodbye",
        "assistant  Thank you for calling. Goodbye!",
        "Ended: assistant_ended (the assistant hung up)",
        "To listen to: .calliope/call.wav",
    ), told
    with wave.open(str(folder / ".calliope" / "call.wav")) as wav:
        assert wav.getnframes() / wav.getframerate() > 5


def test_a_call_file_is_played_with_its_models_and_receivers_and_checked(stack: LocalStack, folder: Path) -> None:
    document = json.loads((EXAMPLES / "booking.json").read_text(encoding="utf-8")) | {"name": "Bookings by file"}
    (folder / "booking.json").write_text(json.dumps(document), encoding="utf-8")
    made = run(folder, "assistant", "--file", str(folder / "booking.json"), "--number", BOOKINGS)
    status, told = run(folder, "call", "--number", BOOKINGS, "--script", str(EXAMPLES / "booking.call.json"))

    assert made[0] == 0, made[1]
    assert status == 0, told
    assert "You have table seven. Is there anything else?" in told
    assert '"reference": "B-17"' in told
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a table for two"}]}
    answer = request("POST", f"{stack.address('sandbox')}/openai/v1/chat/completions", asked, key="any")
    assert "tool_calls" not in answer["choices"][0]["message"]  # the file's rules are gone with its call


def test_what_a_call_file_expects_and_did_not_come_is_said(folder: Path, practice: str) -> None:
    script = {"caller": [{"wait_for": "help"}, {"hang_up": True}], "expect": {"heard": ["Good night"]}}
    (folder / "wrong.call.json").write_text(json.dumps(script))

    status, told = run(folder, "call", "--number", practice, "--script", "wrong.call.json")

    assert status == 1
    assert "FAILED: the caller did not hear “Good night”, or not in its turn" in told


def test_an_assistant_that_is_not_active_answers_nobody_and_that_is_said(stack: LocalStack, folder: Path) -> None:
    (folder / "asleep.json").write_text(json.dumps(PRACTICE | {"name": "Asleep", "is_active": False}))
    run(folder, "assistant", "--file", "asleep.json", "--number", "+15557770003")

    status, told = run(folder, "call", "--number", "+15557770003", "--text", "hello")

    assert status == 1
    assert "Nobody answered: the assistant is switched off: set its is_active to true." in told


def test_a_wrong_key_is_a_problem_of_the_call_and_a_failure_of_the_command(folder: Path) -> None:
    wrong = PRACTICE | {"name": "Wrong key", "llm_provider_config": {"api_key": "bad", "model": "gpt-4o-mini"}}
    (folder / "wrong.json").write_text(json.dumps(wrong))
    run(folder, "assistant", "--file", "wrong.json", "--number", "+15557770004")

    status, told = run(folder, "call", "--number", "+15557770004", "--text", "hello there")

    assert status == 1, told
    assert order_of(told, "Ended: provider_failed", "Problem: llm openai: key."), told


def test_who_reads_only_the_beginning_sees_no_traceback(folder: Path, practice: str) -> None:
    command = f"{sys.executable} -m calliope_local call --number {practice} --text hello | head -1"
    piped = subprocess.run(  # noqa: S602 - what is tested is a pipe of the shell
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=LONGEST_S
    )

    assert "Doctor Keller" in piped.stdout
    assert "Traceback" not in piped.stderr


def test_a_number_that_nobody_answers_lists_those_that_somebody_does(folder: Path, practice: str) -> None:
    status, told = run(folder, "call", "--number", "+15557779999", "--text", "hello")

    assert status == 1
    assert order_of(told, "Nobody answers +15557779999.", "Assigned are:", "  +1", "curl -s -X PUT")
    assert practice in told or "more\n" in told
