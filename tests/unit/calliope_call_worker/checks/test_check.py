"""The use case alone, over vendors that are functions: deadlines, places, and what is never shown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from calliope.contracts.assistants import PhoneNumber
from calliope.contracts.calls import Stage
from calliope.contracts.checks import AssistantCheck, CheckedPart
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope_call_worker.checks.check import AssistantChecks
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, Probe, good
from calliope_call_worker.settings import CheckSettings
from support.checks import MINIMAL, KnownAssistant, checks_of, problems
from support.waiting import until

PATHS = {CheckedPart.KEY: "api_key", CheckedPart.MODEL: "model"}
KEY, MODEL = CheckedPart.KEY, CheckedPart.MODEL
Ask = Callable[[], Awaitable[Findings]]


class Vendors:
    """See `Probes`."""

    def __init__(self, *asks: Ask, secrets: tuple[str, ...] = ()) -> None:
        self.probes = [
            Probe(Stage.LLM, f"v{at}", f"part.{at}", PATHS, ask, True, secrets) for at, ask in enumerate(asks)
        ]

    def of(self, spec: AssistantSpec, numbers: Sequence[PhoneNumber]) -> Sequence[Probe]:
        return self.probes


class Slow:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()

    async def __call__(self) -> Findings:
        self.asked += 1
        await self.let.wait()
        return good(KEY)


def says(*findings: Finding) -> Ask:
    async def ask() -> Findings:
        return findings

    return ask


def fails(error: Exception) -> Ask:
    async def ask() -> Findings:
        raise error

    return ask


def over(vendors: Vendors, **settings: float) -> AssistantChecks:
    return checks_of(vendors, KnownAssistant(MINIMAL), CheckSettings.model_validate(settings))


async def checked(*asks: Ask, secrets: tuple[str, ...] = (), **settings: float) -> AssistantCheck:
    return await over(Vendors(*asks, secrets=secrets), **settings).check("org_1", "asst_1")


async def test_what_is_good_is_told_with_the_revision_that_was_checked() -> None:
    check = await checked(says(*good(KEY, MODEL)))
    assert (check.ok, check.problems, check.revision) == (True, (), 3)
    assert [(one.path, one.outcome) for one in check.checks] == [("part.0.api_key", "ok"), ("part.0.model", "ok")]


async def test_a_vendor_that_is_slower_than_the_deadline_holds_up_no_other() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    check = await checked(Slow(), says(*good(KEY)), deadline_s=0.05)
    assert loop.time() - began < 2
    assert problems(check) == {"part.0": "deadline"}
    assert check.checks[1].outcome == "ok"


async def test_what_could_not_be_checked_is_no_problem_and_says_why() -> None:
    check = await checked(says(Finding(MODEL, unchecked="nobody tells")), fails(NoSuchApiError("v1")))
    assert check.ok
    assert [(one.outcome, one.what, bool(one.detail)) for one in check.checks] == [
        ("unchecked", "model", True),
        ("unchecked", "vendor", True),
    ]


async def test_our_own_bug_is_unchecked_and_the_others_are_told() -> None:
    check = await checked(fails(AttributeError("oops")), says(*good(KEY)))
    assert [one.outcome for one in check.checks] == ["unchecked", "ok"]
    assert "oops" not in check.model_dump_json()


@pytest.mark.promise("P8")
async def test_a_secret_that_a_vendor_repeats_is_hidden() -> None:
    error = ProviderError("v0", Failure.REFUSED, "no such model for key sk-51c7-secret here")
    check = await checked(says(Finding(MODEL, error)), secrets=("sk-51c7-secret", ""))
    assert "sk-51c7" not in check.model_dump_json()
    assert "for key •••• here" in check.problems[0].detail


async def test_every_problem_says_what_to_do() -> None:
    for failure in Failure:
        for part in (KEY, MODEL, CheckedPart.VENDOR):
            if (failure is Failure.KEY) == (part is MODEL) or failure in {Failure.DECLINED, Failure.BAD_CALL}:
                continue
            error = ProviderError("v0", failure, "no")
            check = await checked(says(Finding(part, error)))
            assert check.problems[0].hint or (error.reason == "refused" and part is not MODEL), (failure, part)


async def test_an_assistant_of_somebody_else_is_not_found() -> None:
    with pytest.raises(CommandError) as caught:
        await over(Vendors()).check("org_1", "asst_2")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_an_assistant_whose_secrets_do_not_open_says_so() -> None:
    sealed = {"v": 1, "key_id": "gone", "sealed": "AAAA", "last4": ""}
    known = KnownAssistant(MINIMAL | {"llm_provider_config": {"api_key": sealed}})
    with pytest.raises(CommandError, match="no call could use this assistant"):
        await checks_of(Vendors(), known).check("org_1", "asst_1")


async def test_beyond_its_places_a_worker_is_busy_and_one_organization_takes_not_all_of_them() -> None:
    slow = Slow()
    checks = over(Vendors(slow), at_once=3, at_once_per_organization=2)

    async def busy(organization: str) -> float | None:
        with pytest.raises(CommandError) as caught:
            await checks.check(organization, "asst_1")
        assert caught.value.code is ErrorCode.BUSY
        return caught.value.problem.retry_after_s

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(checks.check("org_1", "asst_1")) for _ in range(2)]
        await until(lambda: slow.asked == 2)
        assert await busy("org_1")
        running.append(tasks.create_task(checks.check("org_2", "asst_1")))
        await until(lambda: slow.asked == 3)
        assert await busy("org_3")
        slow.let.set()
    assert all(task.result().ok for task in running)
    assert (await checks.check("org_3", "asst_1")).ok


async def test_a_check_that_nobody_waits_for_any_more_gives_its_place_back() -> None:
    slow = Slow()
    checks = over(Vendors(slow), at_once=1)
    async with asyncio.timeout(5):
        left = asyncio.ensure_future(checks.check("org_1", "asst_1"))
        await until(lambda: slow.asked == 1)
        left.cancel()
        await asyncio.wait([left])
        slow.let.set()
        assert (await checks.check("org_1", "asst_1")).ok
