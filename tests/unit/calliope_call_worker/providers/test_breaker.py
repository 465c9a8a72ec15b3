"""When a failing model is skipped, and when it is tried again."""

from calliope_call_worker.providers.llm.breaker import Breaker, Breakers


def a_breaker() -> Breaker:
    return Breaker(failures_to_open=3, cool_down_s=10.0)


def an_open_breaker() -> Breaker:
    breaker = a_breaker()
    for _ in range(3):
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_some_failures_in_a_row() -> None:
    breaker = a_breaker()
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert not breaker.allows(9.9)


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = a_breaker()
    breaker.failed(0.0)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.allows(0.0)


def test_after_cooling_down_one_probe_is_let_through() -> None:
    breaker = an_open_breaker()
    assert breaker.allows(10.0)
    assert not breaker.allows(10.0)


def test_a_good_probe_closes_it() -> None:
    breaker = an_open_breaker()
    breaker.allows(10.0)
    breaker.succeeded()
    assert breaker.allows(10.0)
    assert breaker.allows(10.0)


def test_a_bad_probe_opens_it_for_longer() -> None:
    breaker = an_open_breaker()
    breaker.allows(10.0)
    breaker.failed(10.0)
    assert not breaker.allows(29.9)
    assert breaker.allows(30.0)


def test_a_probe_that_was_cut_short_leaves_the_place_to_the_next() -> None:
    breaker = an_open_breaker()
    breaker.allows(10.0)
    breaker.undecided()
    assert breaker.allows(10.0)


def test_a_probe_that_never_tells_does_not_block_for_ever() -> None:
    breaker = an_open_breaker()
    breaker.allows(10.0)
    assert breaker.allows(20.0)


def test_the_vendors_own_wish_to_be_left_alone_is_honoured() -> None:
    breaker = a_breaker()
    for _ in range(3):
        breaker.failed(0.0, retry_after_s=60.0)
    assert not breaker.allows(59.0)


def test_breakers_are_shared_by_provider_model_key_and_address() -> None:
    breakers = Breakers(failures_to_open=3, cool_down_s=10.0)
    assert breakers.get("a", "m", "k", "u") is breakers.get("a", "m", "k", "u")
    assert breakers.get("a", "m", "k", "u") is not breakers.get("a", "m", "other", "u")
