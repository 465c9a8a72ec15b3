"""Whoever follows a call live reads it in the order of its time, though a line is known only when it ends."""

from calliope_sandbox.call_feed import MAX_EVENTS, CallFeed
from calliope_sandbox.callers import parse
from calliope_sandbox.carrier_buffer import CarrierBuffer
from calliope_sandbox.person import FRAME_BYTES, FRAME_MS, Person
from calliope_sandbox.tone_speech import speak


def test_a_hand_over_during_a_line_is_read_after_it() -> None:
    """As in a transfer: the carrier dials while the ear still waits whether the last sentence goes on."""
    feed, buffer = CallFeed(), CarrierBuffer()
    person = Person(parse([{"expect_hang_up": True}]))
    buffer.add(speak("I will put you through").audio)
    spoken_ms = len(speak("I will put you through").audio) // 8

    for now_ms in range(0, spoken_ms + 40, FRAME_MS):
        _, ended = person.tick(now_ms, buffer.take(FRAME_BYTES)[0])
        assert ended == []
    feed.add({"type": "dial"}, spoken_ms + 40)
    feed.release(person.open_since_ms)
    assert feed.after(0) == (0, [])

    for line in person.finish(spoken_ms + 60):
        feed.add(line.told(), line.start_ms)
    feed.release(person.open_since_ms)

    _, events = feed.after(0)
    assert [event["type"] for event in events] == ["line", "dial"]


def test_a_line_is_open_before_its_first_word_was_understood() -> None:
    person, buffer = Person(parse([{"expect_hang_up": True}])), CarrierBuffer()
    buffer.add(speak("Unintelligible").audio)

    person.tick(0, buffer.take(FRAME_BYTES)[0])
    person.tick(20, buffer.take(FRAME_BYTES)[0])

    assert not person.heard
    assert person.open_since_ms == 0


def test_an_event_is_shown_at_once_when_nothing_earlier_is_open() -> None:
    feed = CallFeed()
    feed.add({"type": "dial"}, 100)
    feed.release(100)
    feed.add({"type": "clear"}, 150)
    feed.release(100)

    count, events = feed.after(0)

    assert (count, events) == (1, [{"type": "dial"}])
    assert feed.holds
    feed.release(None)
    assert feed.after(count) == (2, [{"type": "clear"}])


def test_a_reader_who_is_far_behind_goes_on_with_what_is_kept() -> None:
    feed = CallFeed()
    for number in range(MAX_EVENTS + 10):
        feed.add({"number": number}, number)
    feed.release(None)

    count, events = feed.after(0)

    assert (count, len(events), events[0]) == (MAX_EVENTS + 10, MAX_EVENTS, {"number": 10})
    assert feed.after(count) == (count, [])
