"""What models write for machines is never spoken, wherever it is cut, and what only looks like it is never lost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_call_worker.pipeline.speakable import Speakable, spoken

TOOLS = ("book", "end_call")
OF_A_MODELS_FORMAT = [
    ("We are open.<|eot_id|>", "We are open."),
    ("We are open.<|im_end|>\n<|im_start|>assistant\nGoodbye.", "We are open.\nGoodbye."),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nHello.", "Hello."),
    ("<|im_start|>assistant<|im_sep|>Hello.<|im_end|>", "Hello."),
    ("Fine.<｜end▁of▁sentence｜>", "Fine."),  # noqa: RUF001
    ("Fine.<|im_en", "Fine."),
    ("Fine.</s>", "Fine."),
    ("<s>[INST]Fine.[/INST]", "Fine."),
    ("[/THINK]Fine.[/think]", "Fine."),
    ("Fine. < | and |> are no marks", "Fine. < and > are no marks"),
    ("<|channel|>analysis<|message|>Angry.<|end|><|start|>assistant<|channel|>final<|message|>Sorry.<|return|>",
     "Sorry."),
    ("<|im_start|>Hello there, friend", "Hello there, friend"),
]  # fmt: skip
CALLS = [
    'Let me see. <tool_call>\n{"name": "book", "arguments": {"day": "mon}day"}}\n</tool_call>',
    'Let me see. <tool_call>{"name": "book", "arguments": {}}',
    "Let me see. <tool_call><function=book><parameter=day>friday</parameter></function></tool_call>",
    '<function_calls><invoke name="book"><parameter name="day">friday</parameter></invoke></function_calls>Let me see.',
    "<minimax:tool_call><invoke name='book'></invoke></minimax:tool_call>Let me see.",
    'Let me see. <function=book>{"day": "friday"}</function>',
    'Let me see. [TOOL_CALLS] [{"name": "book", "arguments": {"day": "friday"}}]',
    'Let me see. [TOOL_CALLS]book[ARGS]{"day": "friday"}',
    "Let me see. [TOOL_REQUEST]{}[END_TOOL_REQUEST]",
    'Let me see. ```json\n{"name": "book", "arguments": {}}\n```',
    'Let me see. {"name": "book", "arguments": {"say": "\\"}\\""}}',
    'Let me see. [{"name": "book", "parameters": {}}]',
    "Let me see. {'name': 'book', 'arguments': {}}",
    'Let me see. functions.book({"day": "friday"})',
    'Let me see. to=functions.book json{"day": "friday"}',
    "Let me see. default_api.book(day='friday')",
    "Let me see. [book(day='friday'), end_call()]",
    "Let me see. book(day='friday')",
    'Let me see. book {"day": "friday"}',
    "Let me see. end_call()",
    "Let me see. [end_call]",
    'Let me see. <|tool_call|>[{"name": "book", "arguments": {}}]<|/tool_call|>',
    'Let me see. <|python_tag|>book.call(day="friday")<|eom_id|>',
    'Let me see. <|tool_calls_section_begin|><|tool_call_begin|>functions.book:0<|tool_call_argument_begin|>{"a": 1}'
    "<|tool_call_end|><|tool_calls_section_end|>",
    "Let me see. <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>book\n```json\n{}\n```"  # noqa: RUF001
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",  # noqa: RUF001
    'Let me see. {"name": "book", "arguments": {"day": "fri',
]
THOUGHTS = [
    "<think>Angry, I guess.</think>We have cake.",
    "<THINKING mode='x'>Angry.\n\n</THINKING >We have cake.",
    "[think]Angry.[/think] We have cake.",
    "◁think▷Angry.◁/think▷We have cake.",
    "<reasoning>a < b</reasoning>\nWe have cake.",
    "<seed:think>Angry.</seed:think>We have cake.",
    "<|START_THINKING|>Angry.<|END_THINKING|>We have cake.",
    "<|begin_of_thought|>Angry.<|end_of_thought|>We have cake.",
    "We have cake.[thinking]Angry, [12] and <b>",
    "</think>We have cake.",
]
SOURCES = [
    ("We close at six[4][12], Mondays at two[5].", "We close at six, Mondays at two."),
    ("We close at six [4].", "We close at six."),
    ("We close at six[4] on Mondays", "We close at six on Mondays"),
    ("We close at six[1, 2]. Really[^3]!", "We close at six. Really!"),
    ("We close at six【12†source】.", "We close at six."),
    ("We close at six [3](https://example.com/a).", "We close at six."),
    ("We close at six¹². It is 20 m² and 10³ x².", "We close at six. It is 20 m² and 10³ x²."),
    ("We close at six<sup>4</sup>, H<sup>2</sup>.", "We close at six, H2."),
    (
        "Is it so<sup>1</sup>? We do³. Look in² there: 5 km², 9 ft<sup>2</sup>.",
        "Is it so? We do. Look in² there: 5 km², 9 ft2.",
    ),
    ("We close at six [doc3][Source: menu.pdf].", "We close at six."),
    ("We close at six\ue200cite\ue202turn0search1\ue201.", "We close at six."),
    ("Six.[1]\n\n[1]: https://example.com\nBye.", "Six.\nBye."),
    ("Six.[1]Then two.", "Six. Then two."),
]
TEXT = [
    ("If x<y and y>z, then go.",) * 2,
    ("If a<b>c, go.",) * 2,
    ("a < b, x <3, 2 * 3, snake_case, 3.50, 5<6>4",) * 2,
    ("He said [sic] that, and chose [this or that].", "He said sic that, and chose this or that."),
    ("Press [1] for sales.", "Press 1 for sales."),
    ("Your {name} is {here}.",) * 2,
    ("The book (or books) and book(s), functions of fun.",) * 2,
    ("【重要】ok",) * 2,
    ("Come at nine (or ten).",) * 2,
    ("<b class=\"x\">Bold</b> and <img src='a'/>no tag<", "Bold and no tag<"),
]
EVERYTHING = [
    *OF_A_MODELS_FORMAT,
    *((text, "Let me see.") for text in CALLS),
    *((text, "We have cake.") for text in THOUGHTS),
    *SOURCES,
    *TEXT,
]


@pytest.mark.parametrize(("written", "said"), EVERYTHING)
def test_only_what_is_meant_for_people_is_spoken(written: str, said: str) -> None:
    assert spoken(written, TOOLS) == said


@given(st.sampled_from(EVERYTHING), st.lists(st.integers(0, 200), max_size=8))
def test_it_does_not_matter_where_it_is_cut(case: tuple[str, str], cuts: list[int]) -> None:
    written, said = case
    assert _in_pieces(written, cuts) == said


@given(
    st.text(
        st.sampled_from("ab 1<>|/[]{}()\"'\\:=_^.,\n◁▷【】†²") | st.sampled_from("thinkbookfunctions"), max_size=80
    ),
    st.lists(st.integers(0, 80), max_size=8),
)
def test_nor_where_anything_else_is_cut(text: str, cuts: list[int]) -> None:
    assert _in_pieces(text, cuts) == spoken(text, TOOLS)


@pytest.mark.parametrize("written", CALLS)
def test_a_call_at_the_end_is_noticed(written: str) -> None:
    speakable = Speakable(TOOLS)
    speakable.feed(written)
    speakable.finish()
    assert speakable.call_is_last != written.endswith("see.")


@pytest.mark.parametrize("text", ["We are open today, ", "Two for one to go, do come", "I book a fine table, and"])
def test_ordinary_text_is_given_out_word_by_word(text: str) -> None:
    speakable = Speakable(TOOLS)
    given_out, written = "", ""
    for word in text.split():
        written += f"{word} "
        given_out += speakable.feed(f"{word} ")
        assert written.startswith(given_out)
        assert len(given_out.split()) >= len(written.split()) - 1
    assert given_out + speakable.finish() == text.strip()


def _in_pieces(text: str, cuts: list[int]) -> str:
    speakable = Speakable(TOOLS)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[begin:end] for begin, end in itertools.pairwise(edges)]
    return "".join(speakable.feed(piece) for piece in pieces) + speakable.finish()
