"""Use case: ask every vendor of an assistant once, at the same time, and say what each part came to."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import structlog

from calliope.contracts.assistants import PhoneNumber, PinnedAssistant
from calliope.contracts.checks import AssistantCheck, CheckedPart, CheckOutcome, VendorCheck
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, PermanentError, invalid, not_found
from calliope.secrets import Opener
from calliope_call_worker.checks.hints import hint_for
from calliope_call_worker.opened_documents import open_spec
from calliope_call_worker.ports import AssignedNumbers, Directory, Probes
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, Probe
from calliope_call_worker.settings import CheckSettings

log = structlog.get_logger(__name__)

HIDDEN: Final = "••••"


class AssistantChecks:
    """Checks of this worker: few at once, so that live calls do not notice, and of one organization still fewer."""

    def __init__(
        self, *, directory: Directory, numbers: AssignedNumbers, opener: Opener, probes: Probes, settings: CheckSettings
    ) -> None:
        self._directory = directory
        self._numbers = numbers
        self._opener = opener
        self._probes = probes
        self._settings = settings
        self._running: Counter[str] = Counter()

    async def check(self, organization_id: str, assistant_id: str) -> AssistantCheck:
        """What every vendor says within the deadline.

        Raises: CommandError: `not_found`, `busy`, `invalid` when its secrets do not open here, `unavailable`.
        """
        with self._place(organization_id):
            deadline = asyncio.get_running_loop().time() + self._settings.deadline_s
            pinned, numbers = await self._known(organization_id, assistant_id)
            try:
                spec = await open_spec(pinned, self._opener)
            except PermanentError as exc:
                raise invalid(f"no call could use this assistant: {exc}") from exc
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(_asked(probe, deadline), name="check.vendor")
                    for probe in self._probes.of(spec, numbers)
                ]
            checks = tuple(check for task in asked for check in task.result())
            problems = tuple(check for check in checks if check.outcome is CheckOutcome.FAILED)
            return AssistantCheck(
                assistant_id=pinned.id,
                revision=pinned.revision,
                checked_at=datetime.now(UTC),
                ok=not problems,
                checks=checks,
                problems=problems,
            )

    async def _known(self, organization_id: str, assistant_id: str) -> tuple[PinnedAssistant, Sequence[PhoneNumber]]:
        pinned = await self._directory.pin(organization_id, assistant_id)
        if pinned is None:
            raise not_found("assistant", assistant_id)
        return pinned, await self._numbers.of(organization_id, assistant_id)

    @contextmanager
    def _place(self, organization_id: str) -> Iterator[None]:
        """One of the places there are. Raises: CommandError `busy`."""
        settings, running = self._settings, self._running
        if running.total() >= settings.at_once or running[organization_id] >= settings.at_once_per_organization:
            words = "other checks are under way; ask again when they are done"
            raise CommandError(ErrorCode.BUSY, words, retry_after_s=settings.deadline_s)
        running[organization_id] += 1
        try:
            yield
        finally:
            running[organization_id] -= 1
            if not running[organization_id]:
                del running[organization_id]


async def _asked(probe: Probe, deadline: float) -> list[VendorCheck]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout_at(deadline):
            found = await probe.ask()
    except TimeoutError:
        found = _not_asked(ProviderError(probe.provider, Failure.DEADLINE, "no answer in time"))
    except NoSuchApiError as exc:
        found = (Finding(CheckedPart.VENDOR, unchecked=exc.detail),)
    except ProviderError as exc:
        found = _not_asked(exc)
    except Exception:  # the edge of one vendor: the others are told all the same
        log.exception("check.crashed", provider=probe.provider, stage=probe.stage.value)
        found = (Finding(CheckedPart.VENDOR, unchecked="something broke on our side; it was logged"),)
    took_ms = round((loop.time() - began) * 1_000, 1)
    return [_told(probe, finding, took_ms) for finding in found]


def _not_asked(error: ProviderError) -> Findings:
    """The vendor said nothing about its parts; without a key it was not even asked."""
    return (Finding(CheckedPart.KEY if error.failure is Failure.KEY else CheckedPart.VENDOR, error),)


def _told(probe: Probe, finding: Finding, duration_ms: float) -> VendorCheck:
    field = probe.paths.get(finding.what)
    path = f"phone_numbers.{finding.number}" if finding.number else f"{probe.path}.{field}" if field else probe.path
    check = VendorCheck(
        path=path,
        stage=probe.stage,
        provider=probe.provider,
        what=finding.what,
        outcome=CheckOutcome.OK,
        duration_ms=duration_ms,
    )
    if finding.unchecked:
        return check.model_copy(update={"outcome": CheckOutcome.UNCHECKED, "detail": finding.unchecked})
    if finding.error is None:
        return check.model_copy(update={"hint": finding.hint})
    said = {
        "outcome": CheckOutcome.FAILED,
        "reason": finding.error.reason,
        "detail": _without(probe.secrets, finding.error.detail),
        "hint": finding.hint or hint_for(finding.what, finding.error, path, own_key=probe.own_key),
    }
    return check.model_copy(update=said)


def _without(secrets: Sequence[str], text: str) -> str:
    """Vendors may repeat what they were asked with."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN) if secret else text
    return text
