"""How the doctor judges what it saw."""

from dataclasses import replace
from typing import Any

import pytest

from calliope.messaging.inspection import Copies, Reading
from calliope.messaging.streams import WEBHOOKS_FANOUT
from calliope.secrets import generate_key, public_key_of
from calliope_admin.doctor.clocks import clock_finding
from calliope_admin.doctor.findings import About, State, report, unknown, well, wrong
from calliope_admin.doctor.settings import settings_findings
from calliope_admin.doctor.streams import BEHIND, copies_trouble, dead_trouble, reading_trouble

FULL = WEBHOOKS_FANOUT.max_ack_pending


def a_reading(**changes: Any) -> Reading:
    return replace(Reading(waiting=0, unanswered=0, again=0, pulls=1, acknowledged=7), **changes)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({}, {}, None),
        ({"waiting": 3}, {"waiting": 2, "acknowledged": 8}, None),
        ({"waiting": 3, "pulls": 0}, {"waiting": 3, "pulls": 0}, "nobody reads them"),
        ({"waiting": 3, "pulls": 0}, {"waiting": 2, "pulls": 0, "acknowledged": 8}, None),
        ({"unanswered": FULL}, {"unanswered": FULL}, "not finished"),
        ({"unanswered": FULL}, {"unanswered": FULL, "acknowledged": 9}, None),
        ({"unanswered": 2, "again": 2}, {"unanswered": 2, "again": 2}, "tried again and again"),
        ({}, {"waiting": 2, "paused_until": "2030-01-01T00:00:00Z"}, "is paused until 2030-01-01"),
        ({"waiting": BEHIND}, {"waiting": BEHIND + 5, "acknowledged": 50}, "do not become fewer"),
    ],
)
def test_a_durable_is_judged_from_two_looks(before: dict[str, Any], now: dict[str, Any], words: str | None) -> None:
    trouble = reading_trouble(WEBHOOKS_FANOUT, a_reading(**before), a_reading(**now))
    assert (trouble is None) if words is None else (trouble is not None and words in trouble[0])


@pytest.mark.parametrize(
    ("copies", "wanted", "words"),
    [
        (Copies(replicas=1, leader=None), None, None),
        (Copies(replicas=3, leader="n1", clustered=True), 3, None),
        (Copies(replicas=1, leader="n1", clustered=True), 3, "has 1 copies, 3 are wanted"),
        (Copies(replicas=3, leader=None, clustered=True), 3, "has no leader"),
        (Copies(replicas=3, leader="n1", lagging=("n2",), clustered=True), 3, "is not up to date on n2"),
    ],
)
def test_copies_are_judged(copies: Copies, wanted: int | None, words: str | None) -> None:
    trouble = copies_trouble("EVENTS", copies, wanted)
    assert (trouble is None) if words is None else (trouble is not None and words in trouble[0])


@pytest.mark.parametrize(("ahead_s", "words"), [(0.4, "agree"), (7.24, "7.2 s ahead of"), (-60.0, "60.0 s behind")])
def test_clocks_are_told_apart(ahead_s: float, words: str) -> None:
    assert words in clock_finding("the bus", ahead_s).sentence


def test_no_dead_letters_are_no_trouble() -> None:
    assert dead_trouble({}) is None


def test_nobody_is_told_to_purge_what_can_still_be_played_back() -> None:
    words, advice = dead_trouble({("webhooks-fanout", "exhausted"): 3}) or ("", "")
    assert "3 messages were given up (webhooks-fanout, exhausted: 3)" in words
    assert "purge DEAD" not in advice


def test_the_report_is_in_order_and_says_whether_all_is_well() -> None:
    findings = [well(About.SETTINGS, "Fine."), unknown(About.SERVICES, "Unseen."), well(About.BUS, "There.")]
    output = report(findings)
    assert output.status == 0
    assert [each["about"] for each in output.data["findings"]] == ["bus", "services", "settings"]
    assert output.text.endswith("\n\nAll is well.")
    bad = report([*findings, wrong(About.CALLS, "Nobody.", "start one")])
    assert bad.status == 1
    assert "WRONG  calls         Nobody.\n                     Start one." in bad.text
    assert bad.text.endswith("1 of 4 checks found something wrong.")


def states(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[State, str]]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return [(each.state, each.sentence) for each in settings_findings(environment)]


def test_settings_that_are_not_here_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert states({}, monkeypatch)[0][0] is State.UNKNOWN


def test_settings_that_are_set_are_judged_as_the_services_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found = states({"CALLIOPE_ENVIRONMENT": "production", "CALLIOPE_PUBLIC_URL": "http://127.0.0.1"}, monkeypatch)
    assert {sentence.split()[0] for _, sentence in found} == {"CALLIOPE_PUBLIC_URL", "CALLIOPE_NATS__USER"}
    assert all(state is State.WRONG for state, _ in found)


def test_keys_that_do_not_belong_together_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = generate_key(), generate_key()
    pair = {
        "CALLIOPE_SEALING__PRIVATE_KEYS": f'["{ours}"]',
        "CALLIOPE_SEALING__CALLS_PUBLIC_KEY": public_key_of(ours),
        "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": public_key_of(other),
    }
    assert states(pair, monkeypatch)[0][0] is State.WELL
    stranger = pair | {"CALLIOPE_SEALING__PRIVATE_KEYS": f'["{generate_key()}"]'}
    state, sentence = states(stranger, monkeypatch)[0]
    assert state is State.WRONG
    assert "neither public key" in sentence
