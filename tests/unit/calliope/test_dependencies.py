"""Messages that meet a dependency which is away: held, alive, and handled again when it is back."""

import asyncio
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from calliope.errors import TransientError
from calliope.messaging.dependencies import Dependencies, HeldBackError
from calliope.messaging.outcome import Nak, outcome
from calliope.messaging.streams import WEBHOOKS_FANOUT
from calliope.observability import metrics


class Store:
    """Away for a number of checks."""

    def __init__(self, *, away_for: int) -> None:
        self.left = away_for
        self.checks = 0

    async def check(self) -> None:
        self.checks += 1
        self.left -= 1
        if self.left >= 0:
            raise TransientError("no answer")


class LivingMessage:
    """Counts the signs of life."""

    def __init__(self) -> None:
        self.beats = 0

    async def in_progress(self) -> None:
        self.beats += 1


class Work:
    """Fails while the store is away."""

    def __init__(self, store: Store, dependency: str | None = "store") -> None:
        self.store, self.dependency = store, dependency
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.store.left > 0:
            raise TransientError("no answer", dependency=self.dependency)
        return "done"


def the_dependencies(store: Store, clock: Any = None) -> Dependencies:
    dependencies = Dependencies(first_pause_s=0.001, longest_pause_s=0.002, **({"clock": clock} if clock else {}))
    dependencies.add("store", store.check)
    return dependencies


def a_message() -> Msg:
    return cast("Msg", LivingMessage())


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_work_is_done_again_when_the_store_is_back() -> None:
    store, message = Store(away_for=600), a_message()
    dependencies, work = the_dependencies(store), Work(store)

    assert await dependencies.handle(message, WEBHOOKS_FANOUT, work) == "done"

    assert work.tries == 2
    assert store.checks == 601
    assert dependencies.away == ()
    assert cast("Any", message).beats >= 1
    assert sample("calliope_dependency_away", dependency="store") == 0


async def test_while_it_is_away_one_checks_and_nobody_else_tries() -> None:
    """A store that has just come back is not met by every message at once with a check of its own."""
    store = Store(away_for=20)
    dependencies = the_dependencies(store)
    works = [Work(store) for _ in range(50)]

    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(dependencies.handle(a_message(), WEBHOOKS_FANOUT, work), name="message")

    assert store.checks == 21
    assert {work.tries for work in works} <= {1, 2}


async def test_what_begins_meanwhile_waits_without_trying() -> None:
    store = Store(away_for=20)
    dependencies, first, late = the_dependencies(store), Work(store), Work(store)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(dependencies.handle(a_message(), WEBHOOKS_FANOUT, first), name="first")
        while not dependencies.away:  # noqa: ASYNC110 - the state of a peer has no Event
            await asyncio.sleep(0)
        assert sample("calliope_dependency_away", dependency="store") == 1
        assert dependencies.notice() == "messages wait for what is away: store"
        tasks.create_task(dependencies.handle(a_message(), WEBHOOKS_FANOUT, late), name="late")

    assert (first.tries, late.tries) == (2, 1)
    assert dependencies.notice() is None


async def test_an_error_that_the_check_does_not_confirm_is_the_messages_own() -> None:
    """Otherwise one message that the store can never answer would hold up its durable for ever."""
    store, healthy = Store(away_for=1), Store(away_for=0)
    dependencies, work = the_dependencies(healthy), Work(store)

    with pytest.raises(TransientError):
        await dependencies.handle(a_message(), WEBHOOKS_FANOUT, work)

    assert (work.tries, healthy.checks) == (1, 1)


@pytest.mark.parametrize("dependency", [None, "a model"])
async def test_an_error_that_names_no_dependency_of_ours_counts(dependency: str | None) -> None:
    store = Store(away_for=1)
    work = Work(store, dependency)

    with pytest.raises(TransientError):
        await the_dependencies(store).handle(a_message(), WEBHOOKS_FANOUT, work)

    assert (work.tries, store.checks) == (1, 0)


async def test_a_check_that_never_answers_is_a_failure_of_its_own() -> None:
    store, checks = Store(away_for=1), 0

    async def hang_once() -> None:
        nonlocal checks
        checks += 1
        if checks == 1:
            await asyncio.Event().wait()
        store.left = 0

    dependencies = Dependencies(check_s=0.01, first_pause_s=0.001)
    dependencies.add("store", hang_once)

    assert await dependencies.handle(a_message(), WEBHOOKS_FANOUT, Work(store)) == "done"


async def test_a_process_that_stops_gives_back_what_waited_and_it_does_not_count() -> None:
    store = Store(away_for=1_000_000)
    dependencies = the_dependencies(store)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(_error_of(dependencies, Work(store)), name="message") for _ in range(3)]
        while not dependencies.away:  # noqa: ASYNC110 - the state of a peer has no Event
            await asyncio.sleep(0)
        dependencies.close()

    errors = [task.result() for task in waiting]
    assert all(isinstance(error, HeldBackError) for error in errors)
    last = WEBHOOKS_FANOUT.max_deliver
    assert outcome(errors[0], last, WEBHOOKS_FANOUT) == Nak(WEBHOOKS_FANOUT.retry_delay_s(1))


async def test_cancelled_while_it_waits_another_checks_on() -> None:
    store = Store(away_for=50)
    dependencies, other = the_dependencies(store), Work(store)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(dependencies.handle(a_message(), WEBHOOKS_FANOUT, Work(store)), name="first")
        while not dependencies.away:  # noqa: ASYNC110 - the state of a peer has no Event
            await asyncio.sleep(0)
        second = tasks.create_task(dependencies.handle(a_message(), WEBHOOKS_FANOUT, other), name="second")
        await asyncio.sleep(0)
        first.cancel()

    assert second.result() == "done"
    assert first.cancelled()


async def _error_of(dependencies: Dependencies, work: Work) -> BaseException | None:
    try:
        await dependencies.handle(a_message(), WEBHOOKS_FANOUT, work)
    except HeldBackError as exc:
        return exc
    return None
