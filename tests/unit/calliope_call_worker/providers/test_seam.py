"""A continuation by another model repeats nothing."""

import pytest

from calliope_call_worker.providers.llm.seam import Seam


@pytest.mark.parametrize(
    ("passed", "continuation", "whole"),
    [
        ("I can book a", " table for two.", "I can book a table for two."),
        ("I can book a", "table for two.", "I can book a table for two."),
        ("I can book a ", " table for two.", "I can book a table for two."),
        ("I can book a table", ", if you like.", "I can book a table, if you like."),
        ("I can book a", "I can book a table for two.", "I can book a table for two."),
        ("Sure. I can book a", "I can book a table.", "Sure. I can book a table."),
        ("I can boo", "I can book a table.", "I can book a table."),
        ("It is open. It", " closes at ten.", "It is open. It closes at ten."),
        ("That is all.", "That is all.", "That is all."),
        ("Yes.", "", "Yes."),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_join_reads_as_one_answer(passed: str, continuation: str, whole: str, size: int) -> None:
    seam = Seam(passed)
    more = [seam.feed(continuation[at : at + size]) for at in range(0, len(continuation), size)]
    assert passed + "".join(more) + seam.finish() == whole
