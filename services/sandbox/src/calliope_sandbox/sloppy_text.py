"""A text as a sloppy model writes it: with marks of its own format, thoughts, sources, markdown, calls as text. Pure.

What people are meant to hear stays word for word; `random` chooses among the dresses of each kind.
"""

import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

Dress = Callable[[str, Random], str]

_SENTENCE_END: Final = re.compile(r"(?<=\w)[.!?](?=\s|$)")
_WORD: Final = re.compile(r"\b[A-Za-z]{4,}\b")
_PAGE: Final = "https://www.example.com/a_page?id=(7)"
_END_MARKS: Final = ("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "<|end|>", "<｜end▁of▁sentence｜>")  # noqa: RUF001
_THOUGHTS: Final = (
    "<think>{}</think>",
    "<thinking>\n{}\n</thinking>\n",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "<seed:think>{}</seed:think>",
)
_THOUGHT: Final = "The user asked something. I should answer [briefly], then call nothing."
_SOURCES: Final = ("[1]", "[2, 3]", "【4†source】", "[^2]", "<sup>1</sup>")
_PICTURES: Final = ("![](https://www.example.com/table.png)", "🎉🎉", "```json\n{}\n```", "***\n\n---")
_CALLS: Final = (
    '<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>',
    '```json\n{{"name": "{name}", "arguments": {arguments}}}\n```',
    '{{"name": "{name}", "parameters": {arguments}}}',
    "<function={name}>{arguments}</function>",
    "[TOOL_CALLS]{name}{arguments}",
    '<|python_tag|>{{"name": "{name}", "parameters": {arguments}}}<|eom_id|>',
)


def _with_end_mark(text: str, random: Random) -> str:
    return text + random.choice(_END_MARKS)


def _with_thought(text: str, random: Random) -> str:
    return random.choice(_THOUGHTS).format(_THOUGHT) + text


def _with_sources(text: str, random: Random) -> str:
    return _SENTENCE_END.sub(lambda end: random.choice(_SOURCES) + end[0], text)


def _with_markdown(text: str, random: Random) -> str:
    mark = random.choice(("**", "*", "_", "__", "`"))
    return random.choice(("", "# ", "- ", "> ")) + _WORD.sub(lambda word: f"{mark}{word[0]}{mark}", text, count=2)


def _with_a_link(text: str, random: Random) -> str:
    return _WORD.sub(lambda word: f"[{word[0]}]({_PAGE})", text, count=1)


def _with_a_picture(text: str, random: Random) -> str:
    return f"{text} {random.choice(_PICTURES[:2])}"


def _fenced(text: str, random: Random) -> str:
    return f"```{random.choice(('json', ''))}\n{text}\n```"


SPOKEN: Final[Mapping[str, Dress]] = {
    "end_mark": _with_end_mark,
    "thought": _with_thought,
    "sources": _with_sources,
    "markdown": _with_markdown,
    "link": _with_a_link,
    "picture": _with_a_picture,
}
"""Of an answer to somebody who listens."""
WRITTEN: Final[Mapping[str, Dress]] = {"end_mark": _with_end_mark, "thought": _with_thought, "fence": _fenced}
"""Of an answer that is to be JSON."""


def nothing_to_say(random: Random) -> str:
    """An answer of which nothing can be said."""
    return random.choice(_PICTURES)


def call_as_text(name: str, arguments: str, random: Random) -> str:
    """A tool call that was written into the text."""
    return random.choice(_CALLS).format(name=name, arguments=json.dumps(json.loads(arguments)))
