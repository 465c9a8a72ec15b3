"""Callers for runs that break something: each does one kind of thing, and what it has to hear is known. Pure.

Every answer of the assistant holds `LIST`, whose words occur once in an answer and nowhere else: a word that is missing
or comes twice shows in what the caller heard.
"""

import random
from dataclasses import dataclass
from typing import Final

from support.house import Json, a_document
from support.scenes import call_of

GREETING: Final = "Hello, this is Anna speaking, how may I help you today?"
LIST: Final = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "lima")
BOOKED: Final = "It is booked under november oscar papa quebec romeo sierra tango."
GOODBYE: Final = "Thank you for calling and goodbye."
MISSED: Final = "again"
"""The assistant asks for words that were said while no worker listened: one word, which a takeover cannot tear apart
without its being said anew."""
DESK: Final = "+15557770001"
WITHIN_S: Final = 45.0
QUESTION_S: Final = 8.5
"""About how long a question, its answer and the pause after it take."""
TOOL: Final = "book_table"
TOOL_MS: Final = 1_200.0
KINDS: Final = ("asks", "books", "transfers", "interrupts", "leaves")
ENDS: Final = {
    "asks": {"assistant_ended"},
    "books": {"assistant_ended"},
    "transfers": {"transferred"},
    "interrupts": {"assistant_ended"},
    "leaves": {"caller_hung_up", "worker_lost"},
}
"""How a call of each kind may end; who hangs up while no worker holds the call leaves its end to whoever closes it."""


@dataclass(frozen=True, slots=True)
class ChaosCaller:
    """One caller: what it does, the word that only its own sentences hold (`tag`), and its script."""

    kind: str
    tag: str
    script: list[Json]


def a_caller(tag: str, chance: random.Random) -> ChaosCaller:
    """A caller of a random kind, who takes random pauses."""
    kind = chance.choice(KINDS)
    steps: list[Json] = [_step({"wait_for": "today"}), _quiet(chance)]
    for number in range(chance.randint(1, 3)):
        steps += [*_asking(f"question {number} of {tag}", {"wait_for": "lima"}), _quiet(chance)]
    return ChaosCaller(kind, tag, [*steps, *_ending(kind, tag, chance)])


def a_long_caller(tag: str, seconds: float, chance: random.Random) -> ChaosCaller:
    """A caller who asks on for about so long, books at last, and says goodbye."""
    steps: list[Json] = [_step({"wait_for": "today"}), _quiet(chance)]
    for number in range(max(1, round(seconds / QUESTION_S))):
        steps += [*_asking(f"question {number} of {tag}", {"wait_for": "lima"}), _quiet(chance)]
    return ChaosCaller("books", tag, [*steps, *_ending("books", tag, chance)])


def a_busy_document(tool_url: str) -> Json:
    """The assistant they call: it books with a tool and hands over to a desk."""
    tool = {"name": TOOL, "description": "Books a table.", "url": tool_url}
    return a_document(
        llm_settings={"system_prompt": "You are Anna of the many calls.", "welcome_message": GREETING},
        tools_settings={
            "custom_tools": [tool],
            "end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]},
            "transfer_call": {"enabled": True, "transfer_numbers": [DESK]},
        },
    )


def a_model() -> Json:
    """Its answers, as a script of the sandbox."""
    return {
        "name": "many calls",
        "system": "Anna of the many calls",
        "rules": [
            {"after_tool": TOOL, "say": BOOKED},
            {"match": "book", "tool_calls": [call_of(TOOL)]},
            {"match": "person", "tool_calls": [call_of("transfer_call", destination=DESK)]},
            {"match": "goodbye", "say": GOODBYE, "tool_calls": [call_of("end_call")]},
            {"say": f"You said {{user_text}}. The list is {' '.join(LIST)}."},
        ],
    }


def _ending(kind: str, tag: str, chance: random.Random) -> list[Json]:
    goodbye = _asking("thank you, goodbye", {"expect_hang_up": True})
    match kind:
        case "books":
            return [*_asking(f"please book {tag}", {"wait_for": "tango"}), _quiet(chance), *goodbye]
        case "transfers":
            return _asking("a person please", {"expect_hang_up": True})
        case "interrupts":
            other = f"no wait, another question of {tag}"
            cut = {"after_ms": chance.uniform(700, 2_500), "say": other}
            begun = [_step({"say": f"the last question of {tag}"}), _step({"interrupt": cut})]
            return [*begun, _again(other, {"wait_for": "lima"}), _quiet(chance), *goodbye]
        case "leaves":
            return [
                _step({"say": f"and a question of {tag}"}),
                _step({"pause_ms": chance.uniform(0, 4_000)}),
                {"hang_up": True},
            ]
        case _:
            return goodbye


def _asking(text: str, awaited: Json) -> list[Json]:
    """Say it and wait for what has to come of it; said again when the assistant has missed it."""
    return [_step({"say": text}), _again(text, awaited)]


def _again(text: str, awaited: Json) -> Json:
    heard = [MISSED, *(() if LIST[-1] in awaited.values() else LIST[-1:])]  # a list, when it is for something else
    return _step({**awaited, "if_asked": {"heard": heard, "say": text}})


def _quiet(chance: random.Random) -> Json:
    return _step({"wait_for_silence_ms": round(chance.uniform(250, 1_500))})


def _step(step: Json) -> Json:
    return {**step, "within_s": WITHIN_S}
