"""Subjects, ids and keys: the small words that everything else is built from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope import api_keys
from calliope.contracts import subjects
from calliope.ids import derived_id, new_id


def test_an_event_subject_is_built_and_taken_apart() -> None:
    subject = subjects.event("org_1", "call", "call_9", "turn_committed")
    assert subject == "calliope.evt.org_1.call.call_9.turn_committed"
    assert str(subjects.parse_event(subject)) == subject


@pytest.mark.parametrize("token", ["", "a.b", "a b", "*", ">", "a\n", "é", "x" * 129])
def test_a_part_that_would_break_the_subject_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="cannot be a token"):
        subjects.event("org_1", "call", token, "ended")


def test_filters_reach_a_tenant_an_entity_or_one_call() -> None:
    assert subjects.events_of() == "calliope.evt.>"
    assert subjects.events_of(organization="org_1") == "calliope.evt.org_1.>"
    assert subjects.events_of(subjects.Entity.CALL, entity_id="call_9") == "calliope.evt.*.call.call_9.>"
    assert subjects.events_of(subjects.Entity.CALL, name="ended") == "calliope.evt.*.call.*.ended"


@pytest.mark.promise("P8")
@pytest.mark.parametrize("wild", ["*", ">", "", "a.*", "call_9.>"])
def test_a_filter_for_one_call_or_tenant_never_becomes_one_for_all(wild: str) -> None:
    with pytest.raises(ValueError, match="cannot be a token"):
        subjects.events_of(subjects.Entity.CALL, entity_id=wild)
    with pytest.raises(ValueError, match="cannot be a token"):
        subjects.events_of(organization=wild)


def test_a_pattern_has_no_ids() -> None:
    assert subjects.pattern_of("calliope.evt.org_1.call.call_9.ended") == "calliope.evt.*.call.*.ended"
    assert subjects.pattern_of(subjects.Command.CALLS_ACCEPT) == "calliope.cmd.calls.accept.v1"


def test_ids_sort_by_time_and_differ() -> None:
    early, late = new_id("call", now_ms=1_000), new_id("call", now_ms=2_000)
    assert early < late
    assert len({new_id("call", now_ms=1_000) for _ in range(1_000)}) == 1_000


@given(parts=st.lists(st.text(), min_size=1, max_size=3))
def test_a_derived_id_depends_on_its_parts_alone(parts: list[str]) -> None:
    assert derived_id("asst", *parts) == derived_id("asst", *parts)
    assert derived_id("asst", *parts) != derived_id("asst", *parts, "more")
    subjects.event("org", "assistant", derived_id("asst", *parts), "created")


def test_an_api_key_is_well_formed_until_a_character_changes() -> None:
    key = api_keys.generate()
    assert api_keys.is_well_formed(key)
    assert len(api_keys.digest(key)) == 64
    for at in range(len(api_keys.PREFIX), len(key)):
        assert not api_keys.is_well_formed(key[:at] + ("a" if key[at] != "a" else "b") + key[at + 1 :])


@pytest.mark.parametrize("key", ["", "cal_live_", "cal_live_x", "sk-123", "cal_live_" + "é" * 49])
def test_what_is_no_api_key_is_recognised(key: str) -> None:
    assert not api_keys.is_well_formed(key)
