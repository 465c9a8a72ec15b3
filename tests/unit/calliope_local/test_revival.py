"""`make up` starts again what dies, and gives up on what cannot live."""

from dataclasses import dataclass, field

import pytest

from calliope_local.processes import ProcessError
from calliope_local.revival import MOST, WITHIN_S, Revival


@dataclass
class Stack:
    restarted: list[str] = field(default_factory=list)

    def restart(self, name: str) -> None:
        self.restarted.append(name)


@dataclass
class Dead:
    name: str = "webhooks"

    def ending(self) -> str:
        return "by SIGKILL"

    def last_words(self) -> str:
        return "It said last: nothing"


def test_what_dies_is_started_again_and_that_is_said_in_a_line() -> None:
    stack = Stack()
    assert Revival(stack).revive(Dead(), 1.0) == "webhooks ended by SIGKILL and was started again."
    assert stack.restarted == ["webhooks"]


def test_the_sandbox_says_what_it_has_forgotten() -> None:
    assert "run `make assistant` again" in Revival(Stack()).revive(Dead("sandbox"), 1.0)


def test_what_dies_again_and_again_ends_the_stack_with_its_last_words() -> None:
    stack = Stack()
    revival = Revival(stack)
    for at in range(MOST):
        revival.revive(Dead(), float(at))
    with pytest.raises(ProcessError, match="again and again"):
        revival.revive(Dead(), float(MOST))
    assert len(stack.restarted) == MOST


def test_deaths_of_long_ago_and_of_others_do_not_count() -> None:
    stack = Stack()
    revival = Revival(stack)
    for at in range(MOST * 3):
        revival.revive(Dead(), at * WITHIN_S)
        revival.revive(Dead("worker"), at * WITHIN_S)
    assert len(stack.restarted) == MOST * 6
