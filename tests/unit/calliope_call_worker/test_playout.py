"""What was heard, against an exact carrier: a queue that plays in real time, behind a delay each way."""

from dataclasses import dataclass, field
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from calliope_call_worker.pipeline.playout import Playout


@dataclass(frozen=True)
class Span:
    text: str
    start_ms: float
    end_ms: float


def spans(text: str, *, char_ms: float = 100.0) -> list[Span]:
    """Every character takes the same time."""
    return [Span(char, at * char_ms, (at + 1) * char_ms) for at, char in enumerate(text)]


def ms(duration_ms: float) -> int:
    """Bytes of so much audio."""
    return round(duration_ms * 8)


@dataclass
class Carrier:
    """Plays what arrives, in order; returns marks when they are passed, and all of them on a clear."""

    there_s: float
    back_s: float
    free_at: float = 0.0
    played: list[tuple[float, float]] = field(default_factory=list)
    echoes: list[tuple[float, str]] = field(default_factory=list)
    returned: int = 0

    def audio(self, length_s: float, sent_at: float, *, stall_s: float = 0.0) -> None:
        begins = max(self.free_at, sent_at + self.there_s) + stall_s
        self.free_at = begins + length_s
        self.played.append((begins, self.free_at))

    def mark(self, name: str, sent_at: float) -> None:
        self.echoes.append((max(self.free_at, sent_at + self.there_s) + self.back_s, name))

    def played_s(self, clear_sent_at: float) -> float:
        cleared = clear_sent_at + self.there_s
        return sum(max(0.0, min(end, cleared) - begin) for begin, end in self.played)


def _play(
    playout: Playout, carrier: Carrier, chunks: list[tuple[float, int, bool]], clear_after_s: float
) -> tuple[float, float]:
    """Sends chunks (pause before, length, with a mark?) and asks at the time of a clear; returns (told, true) in ms."""
    now = 100.0
    sends = []
    for pause_s, length_ms, marked in chunks:
        now += pause_s
        sends.append((now, length_ms, marked))
    clear_at = 100.0 + clear_after_s
    for at, length_ms, marked in sends:
        if at > clear_at:
            break
        _deliver(playout, carrier, at)
        playout.sent("r1", ms(length_ms), at)
        carrier.audio(length_ms / 1_000, at)
        if marked:
            name = playout.mark("r1", at)
            assert name is not None
            carrier.mark(name, at)
    _deliver(playout, carrier, clear_at)
    return playout.played_ms("r1", clear_at), carrier.played_s(clear_at) * 1_000


def _deliver(playout: Playout, carrier: Carrier, until: float) -> None:
    for at, name in sorted(carrier.echoes):
        if at <= until:
            playout.mark_returned(name, at)
            carrier.returned += 1
    carrier.echoes = [echo for echo in carrier.echoes if echo[0] > until]


CHUNKS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.5, 2.0]), st.integers(20, 900), st.booleans()),
    min_size=1,
    max_size=20,
)


@given(CHUNKS, st.floats(0, 15), st.floats(0, 0.4), st.floats(0, 0.4))
@examples(max_examples=300, deadline=None)
def test_with_a_steady_network_what_was_played_is_known_exactly(
    chunks: list[tuple[float, int, bool]], clear_after_s: float, there_s: float, back_s: float
) -> None:
    told, true = _play(Playout(), Carrier(there_s, back_s), chunks, clear_after_s)
    assert told == pytest.approx(true, abs=0.01)


@pytest.mark.promise("P6")
@given(CHUNKS, st.floats(0, 15))
@examples(max_examples=100, deadline=None)
def test_never_more_is_played_than_was_sent_and_never_less_than_marks_prove(
    chunks: list[tuple[float, int, bool]], clear_after_s: float
) -> None:
    playout, carrier = Playout(), Carrier(0.05, 0.05)
    _play(playout, carrier, chunks, clear_after_s)
    sent_ms = sum(length_ms for _, length_ms, _ in chunks)
    marked_ms = [end for end, (_, _, marked) in zip(_ends_ms(chunks), chunks, strict=True) if marked]
    proved_ms = ([0.0, *marked_ms])[carrier.returned]
    for at in range(20):
        assert proved_ms <= playout.played_ms("r1", 100.0 + clear_after_s + at) <= sent_ms


def _ends_ms(chunks: list[tuple[float, int, bool]]) -> list[int]:
    return list(accumulate(length_ms for _, length_ms, _ in chunks))


def test_a_late_echo_moves_the_clock_back() -> None:
    playout, carrier = Playout(), Carrier(0.05, 0.05)
    for at, stall_s in ((0.0, 0.0), (0.5, 0.4), (1.0, 0.0), (1.5, 0.0)):
        playout.sent("r1", ms(500), at)
        carrier.audio(0.5, at, stall_s=stall_s)
        carrier.mark(str(playout.mark("r1", at)), at)
    _deliver(playout, carrier, 1.6)
    assert playout.played_ms("r1", 1.6) == pytest.approx(1_200)
    assert playout.ends_at("r1") == pytest.approx(2.4)
    assert playout.echo_s == pytest.approx(0.1)


def test_a_mark_that_stays_away_holds_the_clock() -> None:
    playout = Playout()
    playout.sent("r1", ms(500), 0.0)
    playout.mark_returned(str(playout.mark("r1", 0.0)), 0.6)
    playout.sent("r1", ms(500), 0.5)
    playout.mark("r1", 0.5)
    playout.sent("r1", ms(5_000), 0.5)
    assert playout.played_ms("r1", 1.5) == pytest.approx(1_200)


def test_behind_a_mark_that_stays_away_for_long_nothing_was_played() -> None:
    playout = Playout()
    playout.sent("r1", ms(500), 0.0)
    playout.mark_returned(str(playout.mark("r1", 0.0)), 0.6)
    for _ in range(10):
        playout.sent("r1", ms(500), 0.5)
        playout.mark("r1", 0.5)
    assert playout.played_ms("r1", 1.75) == pytest.approx(750)
    assert playout.played_ms("r1", 9.0) == pytest.approx(750)


def test_marks_returned_by_a_clear_prove_nothing() -> None:
    playout = Playout()
    playout.sent("r1", ms(2_000), 0.0)
    name = playout.mark("r1", 0.0)
    playout.cleared(0.5)
    playout.mark_returned(str(name), 0.6)
    assert playout.played_ms("r1", 9.0) == 500
    assert not playout.is_played("r1")
    assert not playout.proved


def test_audio_after_a_clear_begins_at_once_and_late_audio_of_the_cleared_reply_is_not_counted() -> None:
    playout = Playout()
    playout.sent("r1", ms(9_000), 0.0)
    playout.cleared(1.0)
    playout.sent("r1", ms(1_000), 1.1)
    assert playout.mark("r1", 1.1) is None
    playout.sent("r2", ms(1_000), 2.0)
    assert playout.audible_at("r2") == 2.0
    assert playout.played_ms("r1", 5.0) == 1_000
    assert playout.played_ms("r2", 2.5) == 500


def test_a_second_reply_is_played_after_the_first() -> None:
    playout = Playout()
    playout.sent("r1", ms(1_000), 0.0)
    playout.sent("r2", ms(1_000), 0.0)
    assert playout.audible_at("r2") == 1.0
    assert playout.played_ms("r2", 1.5) == 500
    assert playout.buffered_s(1.5) == 0.5


def test_the_last_mark_proves_that_a_reply_was_played() -> None:
    playout = Playout()
    playout.sent("r1", ms(1_000), 0.0)
    name = playout.mark("r1", 0.0)
    assert name == "r1:1"
    playout.mark_returned(name, 1.05)
    assert playout.is_played("r1")


def test_a_later_mark_stands_for_one_that_was_lost() -> None:
    playout = Playout()
    playout.sent("r1", ms(1_000), 0.0)
    playout.mark("r1", 0.0)
    playout.sent("r1", ms(1_000), 0.0)
    playout.mark_returned(str(playout.mark("r1", 0.0)), 2.1)
    assert playout.is_played("r1")


def _heard(text: str, played_ms: float, *, timed: bool = True, complete: bool = True) -> tuple[str, str]:
    playout = Playout()
    playout.said("r1", text)
    if timed:
        playout.timed("r1", spans(text))
    playout.sent("r1", ms(100 * len(text)), 0.0)
    if complete:
        playout.completed("r1")
    heard = playout.heard("r1", played_ms / 1_000)
    return heard.outcome, heard.text


@pytest.mark.parametrize("timed", [True, False])
def test_a_word_counts_when_half_of_it_was_played(timed: bool) -> None:
    text = "Well, hello there."
    assert _heard(text, 200, timed=timed) == ("nothing", "")
    assert _heard(text, 300, timed=timed) == ("partial", "Well,")
    assert _heard(text, 840, timed=timed) == ("partial", "Well,")
    assert _heard(text, 860, timed=timed) == ("partial", "Well, hello")
    assert _heard(text, 1_790, timed=timed) == ("all", text)


def test_a_reply_not_yet_complete_is_never_heard_in_full() -> None:
    assert _heard("Hello there.", 1_200, complete=False) == ("partial", "Hello there.")


def test_nothing_played_is_nothing_heard() -> None:
    playout = Playout()
    playout.said("r1", "Hello.")
    playout.completed("r1")
    assert playout.heard("r1", 5.0).outcome == "nothing"
    assert playout.heard("unknown", 5.0).outcome == "nothing"


def test_text_said_but_not_yet_spoken_is_paced_like_the_voice() -> None:
    playout = Playout()
    first = "A sentence of some length."
    playout.said("r1", first)
    playout.sent("r1", ms(100 * len(first)), 0.0)
    playout.completed("r1")
    playout.said("r2", "One two three four five six.")
    playout.sent("r2", ms(400), 10.0)
    assert playout.heard("r2", 10.4).text == "One"


def test_words_of_a_script_without_blanks_are_cut_by_character() -> None:
    assert _heard("你好。今天", 250) == ("partial", "你好。")


@pytest.mark.promise("P6")
@given(st.text(max_size=60), st.floats(0, 7_000), st.booleans(), st.booleans())
def test_heard_text_is_always_a_beginning_of_what_was_said(
    text: str, played_ms: float, timed: bool, complete: bool
) -> None:
    _, heard = _heard(text, played_ms, timed=timed, complete=complete)
    assert text.startswith(heard)


@pytest.mark.promise("P6")
@given(
    st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=12), st.integers(0, 120), st.integers(1, 9)
)
def test_the_cut_is_right_to_half_a_word_however_the_voice_groups_its_times(
    words: list[str], tenths: int, group: int
) -> None:
    text = " ".join(words)
    played_ms = 100.0 * tenths + 25  # never exactly half a word
    playout = Playout()
    chars = spans(text)
    for at in range(0, len(chars), group):
        part = chars[at : at + group]
        playout.timed("r1", [Span("".join(s.text for s in part), part[0].start_ms, part[-1].end_ms)])
    playout.sent("r1", ms(100 * len(text)), 0.0)
    middles = [100 * (len(" ".join(words[: at + 1])) - len(word) / 2) for at, word in enumerate(words)]
    heard = playout.heard("r1", played_ms / 1_000).text.split()
    assert heard == words[: sum(middle <= played_ms for middle in middles)]
