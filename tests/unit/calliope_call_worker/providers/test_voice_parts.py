"""The pure parts that voices share: what a vendor takes, text in pieces, headers, times that count from a flush."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.providers.tts.alignment import Aligner, spread
from calliope_call_worker.providers.tts.budget import Budget
from calliope_call_worker.providers.tts.pieces import Pieces, sentences_end
from calliope_call_worker.providers.tts.riff import HeaderSniffer, without_header

SAMPLES = b"\x55\xd5" * 50


def a_header(*, kind: int = 7, rate_hz: int = 8_000, notes: bytes = b"", size: int = 100) -> bytes:
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, kind, 1, rate_hz, rate_hz, 1, 8)
    if notes:
        body += b"list" + struct.pack("<I", len(notes)) + notes + b"\0" * (len(notes) % 2)
    return b"RIFF" + struct.pack("<I", size) + body + b"data" + struct.pack("<I", size)


def test_a_budget_comes_back_as_time_moves_on() -> None:
    budget = Budget(20, 60.0)
    for second in range(20):
        budget.spend(1, float(second))
    assert (budget.left(19.0), budget.free_at(1, 19.0), budget.free_at(3, 19.0)) == (0, 60.0, 62.0)
    assert (budget.left(62.0), budget.free_at(3, 62.0)) == (3, 62.0)


def test_more_than_all_waits_for_all_and_not_for_ever() -> None:
    budget = Budget(10, 60.0)
    budget.spend(10, 5.0)
    assert budget.free_at(99, 6.0) == 65.0


@given(st.lists(st.integers(1, 7), max_size=40), st.lists(st.floats(0.1, 30.0), min_size=40, max_size=40))
def test_no_window_holds_more_than_the_budget(amounts: list[int], pauses: list[float]) -> None:
    budget, now, spent = Budget(10, 60.0), 0.0, list[tuple[float, int]]()
    for amount, pause in zip(amounts, pauses, strict=False):
        now = budget.free_at(amount, now + pause)
        budget.spend(amount, now)
        spent.append((now, amount))
    for end, _ in spent:
        assert sum(amount for at, amount in spent if at <= end < at + 60.0) <= 10


@given(st.lists(st.text(alphabet="ab .,!?\u3042\u3002-", max_size=30)), st.integers(5, 40))
def test_pieces_join_to_the_text_and_each_can_be_heard(texts: list[str], most_chars: int) -> None:
    pieces = Pieces(most_chars=most_chars)
    sent = [piece for text in texts for piece in pieces.add(text)]
    assert all(has_speech(piece) and len(piece) <= most_chars for piece in sent)
    left = "".join(texts)
    for piece in sent:
        skipped, _, left = left.partition(piece)
        assert not has_speech(skipped)
    assert left.endswith(pieces.rest)


def test_a_long_text_is_cut_at_its_sentences() -> None:
    assert Pieces(most_chars=12).add("One two. Three four. ") == ["One two. ", "Three four. "]


@pytest.mark.parametrize(
    ("text", "ends"), [("Yes. ", True), ('"No!" ', True), ("Well, ", False), ("\u306f\u3044\u3002", False), ("", False)]
)
def test_only_a_full_stop_ends_a_sentence_for_sure(text: str, ends: bool) -> None:
    assert sentences_end(text) is ends


@pytest.mark.parametrize("header", [b"", a_header(), a_header(notes=b"grph\x01odd", size=0xFFFF_FFFF)])
@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_a_header_is_stripped_wherever_it_is_cut(header: bytes, step: int) -> None:
    sniffer, audio = HeaderSniffer(), header + SAMPLES
    fed = b"".join(sniffer.feed(audio[at : at + step]) for at in range(0, len(audio), step))
    assert fed == SAMPLES
    assert sniffer.feed(b"RIFF and so on") == b"RIFF and so on"


@pytest.mark.parametrize("header", [a_header(kind=1), a_header(rate_hz=24_000)])
def test_audio_of_another_kind_is_noticed(header: bytes) -> None:
    with pytest.raises(ValueError, match="audio of kind"):
        without_header(header + SAMPLES)


def test_times_may_count_from_a_flush_and_come_behind_their_audio() -> None:
    aligner = Aligner()
    aligner.say("ab cd ")
    assert aligner.hear(200.0, from_ms=0.0) == ()
    first = aligner.hear(0.0, ["a", "b", " "], [0.0, 100.0, 200.0], [100.0, 100.0, 0.0], from_ms=0.0)
    second = aligner.hear(200.0, ["c", "d", " "], [0.0, 100.0, 200.0], [100.0, 100.0, 0.0], from_ms=200.0)
    spans = [*first, *second, *aligner.finish()]
    assert [(span.text, span.start_ms, span.end_ms) for span in spans] == [("ab ", 0.0, 200.0), ("cd ", 200.0, 400.0)]


def test_a_text_is_spread_evenly() -> None:
    assert [(span.text, span.start_ms, span.end_ms) for span in spread("ab cde", 100.0, 700.0)] == [
        ("ab ", 100.0, 400.0),
        ("cde", 400.0, 700.0),
    ]
