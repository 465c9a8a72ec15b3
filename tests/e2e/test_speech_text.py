"""What a model writes and what the caller hears of it: every word, in every script, and nothing that is only ink."""

import pytest

from calliope_local.stack import LocalStack
from support.house import GREETING, Json
from support.scenes import Scene, Seen, played

WRITTEN_AND_SPOKEN = {
    "markdown": (
        "**Bold** and _soft_ words:\n\n- first item\n- second item\n\n# A heading\nThe end",
        "Bold and soft words: first item second item A heading The end",
    ),
    "code": ("Run `make demo` now.\n```python\nprint(1)\n```\nThat is all.", "Run make demo now. That is all."),
    "addresses": (
        "See [our page](https://example.com/a_b?x=1) or https://example.com/c today.",
        "See our page or https://example.com/c today.",
    ),
    "numbers": ("It costs 3.14 euros, or 1,000.50 yen, at 9:30 on No. 5.",) * 2,
    "abbreviations": ("Dr. Smith and Mrs. Jones, e.g. on Oct. 3 at approx. 5 p.m. today.",) * 2,
    "emoji among words": ("Great 🎉 news 👍🏽 for you!", "Great news for you!"),
    "marks of the model": ("We are open.<|im_end|>\n<|im_start|>assistant\nUntil nine.", "We are open. Until nine."),
    "a thought in brackets": ("[THINK]They want [1] news.[/THINK]Here is the news.", "Here is the news."),
    "sources": ("We open at eight[1][2]. On Mondays at nine 【4†hours】.", "We open at eight. On Mondays at nine."),
    "comparisons": ("If a<b and c>d, then I <3 you and 2 * 3 is six.",) * 2,
    "thinking": ("<think>They want news.</think>Here is the news.", "Here is the news."),
    "no last full stop": ("I will look and call you back",) * 2,
    "one word": ("Yes",) * 2,
    "Japanese": ("はい、明日の九時です。お待ちします。",) * 2,
    "Arabic": ("مرحبا بك، كيف أساعدك؟",) * 2,
}
SILENT = {
    "nothing": "",
    "only emoji": "🎉 🎉",
    "only markdown": "***\n\n---\n",
    "only code": "```\nprint(1)\n```",
    "only a call as text": '<tool_call>{"name": "hours", "arguments": {"day": "monday"}}</tool_call>',
}


def asking(written: str, *more: Json) -> Scene:
    ready: list[Json] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 200}]
    return Scene(
        [*ready, {"say": "go on"}, *more, {"hang_up": True}],
        [{"match": "again", "say": "Certainly it is so."}, {"say": written}],
    )


SCENES = {
    name: asking(written, {"wait_for": spoken.split()[-1]}, {"wait_for_silence_ms": 800})
    for name, (written, spoken) in WRITTEN_AND_SPOKEN.items()
} | {
    name: asking(
        written,
        {"wait_for": "say that again"},
        {"wait_for_silence_ms": 300},
        {"say": "and again"},
        {"wait_for": "it is so"},
    )
    for name, written in SILENT.items()
}


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> dict[str, Seen]:
    return played(stack, SCENES)


@pytest.mark.parametrize("name", WRITTEN_AND_SPOKEN)
def test_every_word_is_spoken_and_nothing_is_left_behind(seen: dict[str, Seen], name: str) -> None:
    talk, (_, spoken) = seen[name], WRITTEN_AND_SPOKEN[name]

    assert talk.call["failed"] is None, talk.heard
    assert without_blanks(talk.heard) == without_blanks(GREETING + spoken)
    assert without_blanks(talk.assistant[1]) == without_blanks(spoken)
    assert talk.facts("provider_failed") == []


@pytest.mark.parametrize("name", SILENT)
def test_a_model_that_answers_nothing_is_asked_again_and_then_excused(seen: dict[str, Seen], name: str) -> None:
    talk = seen[name]

    assert talk.call["failed"] is None
    assert [failed["stage"] for failed in talk.facts("provider_failed")] == ["llm", "llm"]
    assert talk.assistant == [
        GREETING,
        "I am sorry, I have a technical problem. Please say that again.",
        "Certainly it is so.",
    ]
    last = [message["content"] for message in talk.asked[-1][1:]]
    assert last == [GREETING, "go on", talk.assistant[1], "and again"]


def without_blanks(text: str) -> str:
    """Where the ear hears a pause is up to the voice."""
    return "".join(text.split())
