"""The emulators' sloppy mode: drawn from a seed, of what real vendors show, and nothing else than was to be said."""

import re
from pathlib import Path
from random import Random

import pytest

from calliope_call_worker.pipeline.speakable import spoken
from calliope_sandbox.answers import Answer, CallTool
from calliope_sandbox.conversations import Conversation, Said, ToolAnswer
from calliope_sandbox.knobs import Knobs
from calliope_sandbox.sloppiness import Request, Sloppiness, is_owed, misbehaviours
from calliope_sandbox.sloppy_text import SPOKEN, WRITTEN, call_as_text, nothing_to_say
from calliope_sandbox.vendors import telnyx, tools, twilio

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
SAID = "A table for two, tomorrow at seven. That costs 3.50, is it well so?"
BOOK = CallTool("book_table", '{"people": 2, "when": "at \\"seven\\""}')


def drawn(share: float = 0.1, seed: int = 1, key: str = "sloppy-1", requests: int = 2_000) -> list[int]:
    """Which requests of a key misbehave."""
    knobs = Knobs()
    knobs.turn({"sloppy": {"share": share, "seed": seed}})
    sloppiness = Sloppiness(knobs)
    return [number for number in range(requests) if sloppiness.draw("openai", key) is not None]


def test_every_tenth_request_misbehaves_and_the_seed_says_which() -> None:
    assert drawn() == drawn()
    assert 150 < len(drawn()) < 250
    assert drawn(seed=2) != drawn()
    assert drawn(key="sloppy-2") != drawn()
    assert len(drawn(share=1.0)) == 2_000


def test_only_keys_that_ask_for_it_are_served_so_unless_everybody_is() -> None:
    assert drawn(key="sandbox-openai") == []
    knobs = Knobs()
    knobs.turn({"sloppy": {"everybody": True, "share": 1.0}})
    assert Sloppiness(knobs).draw("openai", "sandbox-openai") is not None


def test_kinds_are_chosen_among_those_that_are_wanted() -> None:
    knobs = Knobs()
    knobs.turn({"sloppy": {"kinds": ["thought", "dropped"]}})
    sloppiness = Sloppiness(knobs)
    found = {sloppiness.wanted(("dropped", "markdown", "thought"), Random(seed)) for seed in range(20)}
    assert found == {"dropped", "thought"}
    assert sloppiness.wanted(("markdown",), Random(1)) is None


@pytest.mark.parametrize("kind", SPOKEN)
@pytest.mark.parametrize("seed", range(12))
def test_what_was_to_be_said_is_what_is_spoken(kind: str, seed: int) -> None:
    written = SPOKEN[kind](SAID, Random(seed))
    assert written != SAID
    assert re.sub(r"\s+", " ", spoken(written)) == SAID


@pytest.mark.parametrize("seed", range(24))
def test_calls_as_text_and_pictures_are_never_spoken(seed: int) -> None:
    assert spoken(f"One moment. {call_as_text(BOOK.name, BOOK.arguments, Random(seed))}") == "One moment."
    assert spoken(nothing_to_say(Random(seed))) == ""


def test_every_kind_makes_an_answer_that_is_another_one() -> None:
    talk = Conversation(said=(Said("user", "A table, please"),))
    answer = Answer(SAID, (BOOK,))
    kinds = {
        kind
        for vendor, variants in (("openai", ("no_id",)), ("gemini", ("no_parts",)))
        for asked in (answer, Answer(SAID), Answer(tool_calls=(BOOK,)))
        for kind, way in misbehaviours(Request(vendor, talk, asked, variants)).items()
        if way(Request(vendor, talk, asked, variants), Random(3)) != asked
    }
    assert kinds > {*SPOKEN, "nothing_to_say", "call_as_text", "cut_arguments", "packed_arguments", "wire", "dropped"}
    assert set(misbehaviours(Request("gemini", talk, answer, ("no_parts",)))).isdisjoint({"cut_arguments", "bad_call"})
    written = Request("openai", Conversation(schema={"type": "object"}), Answer("{}"), ())
    assert set(misbehaviours(written)) > set(WRITTEN)


def test_a_call_that_could_not_be_run_is_made_again_once_the_model_was_told() -> None:
    sloppiness = Sloppiness(Knobs())
    talk = Conversation(system="You are Anna.", said=(Said("user", "A table"),))
    told = Conversation(talk.system, talk.said, (ToolAnswer("lookup_everything", "there is no such tool"),))
    assert is_owed("cut_arguments")
    sloppiness.owe(talk, (BOOK,))
    assert sloppiness.owed(talk) == ()
    assert sloppiness.owed(told) == (BOOK,)
    assert sloppiness.owed(told) == ()


def test_the_page_names_every_kind() -> None:
    talk, written = Conversation(), Conversation(schema={"type": "object"})
    asked = (Request("openai", talk, Answer(SAID, (BOOK,)), ("no_id",)), Request("openai", talk, Answer(SAID), ()))
    kinds = {kind for one in (*asked, Request("openai", written, Answer("{}"), ())) for kind in misbehaviours(one)}
    section = PAGE.read_text(encoding="utf-8").partition("## With sloppy vendors")[2].partition("## In CI")[0]
    missing = [
        kind
        for kind in (*kinds, "refused_option", *tools.SLOPPY, *twilio.SLOPPY, *telnyx.SLOPPY)
        if f"`{kind}`" not in section
    ]
    assert missing == []
