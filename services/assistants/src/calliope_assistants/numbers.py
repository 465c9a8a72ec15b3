"""Use cases about telephone numbers: who holds them, and who answers them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from calliope.contracts.assistants import (
    AssignPhoneNumber,
    Deleted,
    ListPhoneNumbers,
    NumberRoute,
    PhoneNumber,
    PhoneNumberList,
    PhoneNumberRef,
    PhoneNumberSpec,
    ResolvedNumber,
    ResolveNumber,
)
from calliope.contracts.base import Event
from calliope.contracts.document.answering import unanswered
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.contracts.subjects import Entity
from calliope.errors import CommandError, invalid, not_found
from calliope.validation.problems import field_problems
from calliope_assistants import events, pages
from calliope_assistants.model import Rules
from calliope_assistants.ports import Assistants, NumberRow, Numbers, has_done, with_command
from calliope_assistants.service import pinned

TRIES: Final = 5
_POSITION: Final = re.compile(r"\+[0-9]{1,15}")


class NumberService:
    """Numbers, as seen by one organization. `command` is as in `AssistantService`."""

    def __init__(
        self,
        organization_id: str,
        numbers: Numbers,
        assistants: Assistants,
        written: Callable[[], None],
        *,
        command: str | None = None,
    ) -> None:
        self._organization_id = organization_id
        self._numbers = numbers
        self._assistants = assistants
        self._written = written
        self._command = command

    async def assign(self, payload: AssignPhoneNumber) -> PhoneNumber:
        """Raises: CommandError `invalid`, `not_found`, `conflict` when another organization holds the number."""
        try:
            spec = PhoneNumberSpec.model_validate(payload.spec)
        except ValidationError as exc:
            raise invalid("the phone number was refused", *field_problems(exc, PhoneNumberSpec)) from exc
        for _ in range(TRIES):
            row, now = await self._numbers.get(payload.number), datetime.now(UTC)
            changed = self._next(row, payload.number, now, assistant_id=spec.assistant_id, carrier=spec.carrier)
            assistant = await self._assistants.get(spec.assistant_id)
            warnings = () if assistant is None else unanswered(spec.carrier, assistant.document)
            if row is not None and has_done(row.commands, self._command, now):  # before a crash; what it answered then
                return _written(changed, warnings, revision=row.revision)
            if assistant is None:
                raise not_found("assistant", spec.assistant_id)
            if row is not None and row.assistant_id is not None:
                if row.organization_id != self._organization_id:
                    raise CommandError(ErrorCode.CONFLICT, f"{payload.number} belongs to another organization")
                if (row.assistant_id, row.carrier) == (spec.assistant_id, spec.carrier):
                    return _written(row, warnings)
            if await self._put(changed, "assigned", row):
                return _written(changed, warnings)
        raise CommandError(ErrorCode.CONFLICT, "too many writers at once; ask again", retry_after_s=1.0)

    async def page(self, payload: ListPhoneNumbers) -> PhoneNumberList:
        """In the order of their digits; shorter than asked for when more would not fit. Raises: CommandError `invalid`.

        Numbers that were released are on no page, and take no place on one.
        """
        after = pages.position_of(payload.cursor, form=_POSITION)
        rows = await self._numbers.page(self._organization_id, payload.assistant_id, payload.limit + 1, after)
        items, _ = pages.fitting(map(_shown, rows[: payload.limit]), pages.MAX_PAGE_BYTES)
        more = len(rows) > len(items)
        return PhoneNumberList(items=tuple(items), next_cursor=pages.cursor_of(items[-1].number) if more else None)

    async def release(self, payload: PhoneNumberRef) -> Deleted:
        """Raises: CommandError `not_found`."""
        for _ in range(TRIES):
            row, now = await self._numbers.get(payload.number), datetime.now(UTC)
            if row is not None and has_done(row.commands, self._command, now):
                return Deleted(id=row.number)  # before a crash
            if row is None or row.assistant_id is None or row.organization_id != self._organization_id:
                raise not_found("phone number", payload.number)
            changed = self._next(row, row.number, now, assistant_id=None, carrier=row.carrier)
            if await self._put(changed, "released", row):
                return Deleted(id=row.number)
        raise CommandError(ErrorCode.CONFLICT, "too many writers at once; ask again", retry_after_s=1.0)

    def _next(
        self, row: NumberRow | None, number: str, now: datetime, *, assistant_id: str | None, carrier: str
    ) -> NumberRow:
        counted = {} if row is None else row.sequences
        return NumberRow(
            number=number,
            organization_id=self._organization_id,
            assistant_id=assistant_id,
            carrier=carrier,
            revision=1 if row is None else row.revision + 1,
            sequences={**counted, self._organization_id: counted.get(self._organization_id, 0) + 1},
            updated_at=now,
            commands=with_command({} if row is None else row.commands, self._command, now),
        )

    async def _put(self, changed: NumberRow, name: str, before: NumberRow | None) -> bool:
        data: dict[str, Any] = {"number": changed.number, "carrier": changed.carrier}
        assistant_id = changed.assistant_id or (before.assistant_id if before else None)
        event: Event = events.build(
            Entity.PHONE_NUMBER,
            changed.number,
            name,
            organization=self._organization_id,
            sequence=changed.sequences[self._organization_id],
            now=changed.updated_at,
            data={**data, "assistant_id": assistant_id},
        )
        done = await self._numbers.put(changed, event, if_revision=0 if before is None else before.revision)
        if done:
            self._written()
        return done


async def resolve(
    numbers: Numbers, assistants_of: Callable[[str], Assistants], rules: Rules, payload: ResolveNumber
) -> ResolvedNumber:
    """Who answers a number: asked on behalf of a carrier, so of any organization.

    Raises: CommandError: `not_found` when nobody does, `conflict` when its assistant is switched off, unless that was
    asked for too.
    """
    row = await numbers.get(payload.number)
    if row is None or row.assistant_id is None:
        raise not_found("phone number", payload.number)
    assistant = await assistants_of(row.organization_id).get(row.assistant_id)
    if assistant is None:
        raise not_found("assistant", row.assistant_id)
    if not assistant.document["is_active"] and not payload.also_inactive:
        raise CommandError(ErrorCode.CONFLICT, "the assistant of this number is not active")
    return ResolvedNumber(number=row.number, carrier=row.carrier, assistant=pinned(assistant, rules))


async def route(numbers: Numbers, assistants_of: Callable[[str], Assistants], payload: PhoneNumberRef) -> NumberRoute:
    """Where calls to a number go, also to an assistant that is switched off; asked on behalf of a carrier.

    Raises: CommandError `not_found`.
    """
    row = await numbers.get(payload.number)
    if row is None or row.assistant_id is None:
        raise not_found("phone number", payload.number)
    assistant = await assistants_of(row.organization_id).get(row.assistant_id)
    if assistant is None:
        raise not_found("assistant", row.assistant_id)
    return NumberRoute(
        number=row.number,
        carrier=row.carrier,
        organization_id=row.organization_id,
        assistant_id=assistant.id,
        revision=assistant.revision,
        is_active=assistant.document["is_active"],
        account=assistant.document.get(f"{row.carrier}_config"),
    )


def _written(row: NumberRow, warnings: tuple[FieldProblem, ...], *, revision: int | None = None) -> PhoneNumber:
    return _shown(row, revision=revision).model_copy(update={"warnings": warnings})


def _shown(row: NumberRow, *, revision: int | None = None) -> PhoneNumber:
    return PhoneNumber(
        number=row.number,
        organization_id=row.organization_id,
        assistant_id=row.assistant_id or "",
        carrier=row.carrier,
        revision=revision or row.revision,
        updated_at=row.updated_at,
    )
