"""Whose turn it is: limits are kept, nobody is forgotten, nobody is overtaken twice."""

from hypothesis import given, settings
from hypothesis import strategies as st

from calliope_webhooks.turnstile import Limits, Turnstile


def drain(turnstile: Turnstile, most: int = 1_000) -> list[str]:
    turns: list[str] = []
    while (turn := turnstile.next()) is not None and len(turns) < most:
        turns.append(turn[0])
        turnstile.wake(*turn)
    return turns


def test_endpoints_take_turns() -> None:
    turnstile = Turnstile(Limits(per_endpoint=2, per_organization=10, overall=10))
    for endpoint in ("a", "b", "c"):
        turnstile.wake(endpoint, "org")
    assert drain(turnstile) == ["a", "b", "c", "a", "b", "c"]


def test_a_full_endpoint_costs_the_others_nothing() -> None:
    turnstile = Turnstile(Limits(per_endpoint=4, per_organization=32, overall=128))
    turnstile.wake("hanging", "org")
    assert drain(turnstile) == ["hanging"] * 4
    for n in range(20):
        turnstile.wake(f"healthy{n}", "org")
    assert set(drain(turnstile)) == {f"healthy{n}" for n in range(20)}


def test_a_full_organization_costs_others_nothing() -> None:
    turnstile = Turnstile(Limits(per_endpoint=4, per_organization=8, overall=128))
    for n in range(50):
        turnstile.wake(f"greedy{n}", "greedy")
    assert len(drain(turnstile)) == 8
    turnstile.wake("modest", "modest")
    assert turnstile.next() == ("modest", "modest")


def test_a_finished_attempt_lets_the_next_endpoint_of_the_organization_in() -> None:
    turnstile = Turnstile(Limits(per_endpoint=1, per_organization=1, overall=9))
    for endpoint in ("a", "b", "c"):
        turnstile.wake(endpoint, "org")
    assert turnstile.next() == ("a", "org")
    assert turnstile.next() is None
    turnstile.release("a", "org")
    assert turnstile.next() == ("b", "org")


def test_a_fresh_delivery_does_not_overtake_the_backlog_of_its_endpoint() -> None:
    turnstile = Turnstile(Limits())
    turnstile.wake("a", "org")
    assert not turnstile.try_acquire("a", "org")
    assert turnstile.try_acquire("b", "org")


STEPS = st.lists(st.tuples(st.sampled_from(["wake", "next", "take", "release"]), st.integers(0, 5)), max_size=120)


@settings(max_examples=300)
@given(steps=STEPS)
def test_limits_hold_and_everyone_woken_gets_a_turn_once_there_is_room(steps: list[tuple[str, int]]) -> None:
    limits = Limits(per_endpoint=2, per_organization=3, overall=4)
    turnstile = Turnstile(limits)
    out: list[tuple[str, str]] = []
    woken: set[str] = set()
    for step, n in steps:
        who = (f"e{n}", f"o{n % 2}")
        if step == "wake":
            turnstile.wake(*who)
            woken.add(who[0])
        elif step == "next" and (turn := turnstile.next()) is not None:
            out.append(turn)
            woken.discard(turn[0])
        elif step == "take" and turnstile.try_acquire(*who):
            out.append(who)
        elif step == "release" and out:
            turnstile.release(*out.pop(n % len(out)))
        assert turnstile.busy == len(out) <= limits.overall
        assert all(out.count(one) <= limits.per_endpoint for one in out)
        assert all(sum(org == o for _, o in out) <= limits.per_organization for org in ("o0", "o1"))
    for one in out:
        turnstile.release(*one)
    served = set()
    while (turn := turnstile.next()) is not None:
        served.add(turn[0])
        turnstile.release(*turn)
    assert served == woken
