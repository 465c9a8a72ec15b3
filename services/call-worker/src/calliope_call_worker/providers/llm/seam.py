"""Joins an answer that was cut off to its continuation by another model, so that nothing is said twice. Pure."""

import re
from typing import Final

from calliope_call_worker.providers.llm.base import AssistantMessage, Message, UserMessage

LEAST_OVERLAP: Final = 6
"""Shorter repetitions are chance: many sentences end and begin with "the"."""
INSTRUCTION: Final = (
    "Your answer above was cut off by a technical problem. Continue it exactly where it stops: write only what is "
    "still missing, repeat nothing, do not begin again, and do not mention the problem."
)
_WORD_START: Final = re.compile(r"(?<!\S)\S")


def continuing(messages: tuple[Message, ...], passed: str) -> tuple[Message, ...]:
    """The conversation for the next model: what was answered so far, then what to do. No prefill: some refuse it.

    `passed` is what people are meant to hear: a thought or a call that was cut off would lead the next model astray.
    """
    return (*messages, AssistantMessage(passed.strip()), UserMessage(INSTRUCTION))


class Seam:
    """Feed the continuation; get what is to be passed on behind `passed`. Holds back what may be repetition."""

    def __init__(self, passed: str) -> None:
        self._passed = passed
        tail = passed.rstrip()
        self._starts = [
            match.start() for match in _WORD_START.finditer(tail) if len(tail) - match.start() >= LEAST_OVERLAP
        ]
        self._tail = tail
        self._held = ""
        self._joined = False

    def feed(self, text: str) -> str:
        """More of the continuation."""
        if self._joined:
            return text
        self._held += text
        begun = self._held.lstrip()
        if not begun:
            return ""
        for start in self._starts:
            rest = self._tail[start:]
            if begun.startswith(rest):
                self._joined = True
                return begun[len(rest) :]
            if rest.startswith(begun):
                return ""
        return self._join(self._held)

    def finish(self) -> str:
        """The continuation has ended; what was held back was repetition only if all of it is."""
        if self._joined or not self._held.strip():
            return ""
        begun = self._held.strip()
        return "" if self._tail.endswith(begun) and len(begun) >= LEAST_OVERLAP else self._join(self._held)

    def _join(self, text: str) -> str:
        self._joined, self._held = True, ""
        if self._passed and text and self._passed[-1].isalnum() and text[0].isalnum():
            return " " + text  # models continue with the next word and leave the blank out
        return text.lstrip() if self._passed[-1:].isspace() else text
