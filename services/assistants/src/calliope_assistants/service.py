"""Use cases about assistants: every write is one guarded row with its event; whose data it is comes from the caller."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from calliope.contracts.assistants import (
    Assistant,
    AssistantPage,
    AssistantRef,
    CreateAssistantV2,
    DeleteAssistant,
    Deleted,
    Endpoints,
    ListAssistants,
    PinnedAssistant,
    ReplaceAssistantV2,
    RotateWebhookSecretV2,
    SealedRequest,
    SealedSecret,
    UpdateAssistantV2,
    WrittenAssistant,
)
from calliope.contracts.base import Event
from calliope.contracts.document.warning_rules import warnings_of
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.contracts.subjects import Entity
from calliope.errors import CommandError, not_found
from calliope.sealed_documents import Owner
from calliope.webhook_secrets import FIELD
from calliope_assistants import events, model, pages, webhook_keys
from calliope_assistants.ports import (
    AssistantRow,
    Assistants,
    NameTakenError,
    Numbers,
    has_done,
    with_command,
)
from calliope_assistants.repeats import made_before
from calliope_assistants.webhook_keys import WebhookKeys

TRIES: Final = 5
_NUMBERS_NAMED: Final = 5
"""How many of the numbers that stand against a deletion are named."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the use cases work with; `written` is told after every write."""

    rules: model.Rules
    numbers: Numbers
    written: Callable[[], None]


class AssistantService:
    """Assistants of one organization. `command` is the idempotency key, hashed; it makes a repeated write harmless."""

    def __init__(self, organization_id: str, rows: Assistants, parts: Parts, *, command: str | None = None) -> None:
        self._organization_id = organization_id
        self._rows = rows
        self._parts = parts
        self._command = command

    async def create(self, payload: CreateAssistantV2) -> WrittenAssistant:
        """Raises: CommandError `invalid`, `conflict`."""
        now = datetime.now(UTC)
        made = await made_before(self._any, "asst", self._organization_id, self._command, now)
        if made is not None:
            return _written(made)
        stored = await self._validated(payload, payload.document, payload.assistant_id)
        webhook, took = self._webhook_keys(payload, stored, None, now)
        row = AssistantRow(
            id=payload.assistant_id,
            organization_id=self._organization_id,
            name_key=model.name_key(stored["name"]),
            revision=1,
            sequence=1,
            created_at=now,
            updated_at=now,
            document=stored,
            webhook=webhook,
            commands=with_command({}, self._command, now),
        )
        event = self._event("created", row, {"fields": sorted({*payload.document, *_brought(payload)})})
        try:
            if not await self._rows.insert(row, event):
                return _written(await self._found(payload.assistant_id))  # the same command, a moment ago
        except NameTakenError:
            raise _name_taken(stored["name"]) from None
        self._parts.written()
        return _written(row, took_webhook_secret=took)

    async def get(self, payload: AssistantRef) -> Assistant:
        """Raises: CommandError `not_found`."""
        return _shown(await self._found(payload.assistant_id))

    async def page(self, payload: ListAssistants) -> AssistantPage:
        """Newest first; shorter than asked for when more would not fit. Raises: CommandError `invalid`."""
        rows = await self._rows.page(payload.limit + 1, pages.position_of(payload.cursor))
        items, _ = pages.fitting(map(_shown, rows[: payload.limit]), pages.MAX_PAGE_BYTES)
        more = len(rows) > len(items)
        cursor = pages.cursor_of(_position(rows[len(items) - 1])) if more else None
        return AssistantPage(items=tuple(items), next_cursor=cursor)

    async def update(self, payload: UpdateAssistantV2) -> WrittenAssistant:
        """Raises: CommandError `invalid`, `not_found`, `conflict`, `precondition_failed`."""
        return await self._write(payload, lambda row: model.patched(row.document, payload.patch))

    async def replace(self, payload: ReplaceAssistantV2) -> WrittenAssistant:
        """Raises: CommandError as `update`."""
        return await self._write(payload, lambda _: payload.document)

    async def rotate_webhook_secret(self, payload: RotateWebhookSecretV2) -> WrittenAssistant:
        """Take a new secret; the replaced one signs too for 24 hours.

        Raises: CommandError `not_found`, `conflict` when too many would sign.
        """
        for _ in range(TRIES):
            row, now = await self._found(payload.assistant_id), datetime.now(UTC)
            if has_done(row.commands, self._command, now):
                return _rotated(row)  # before a crash; another secret would cut off the one that receivers verify with
            key = webhook_keys.key_of(payload.webhook_secret)
            keys = WebhookKeys(key) if row.webhook is None else row.webhook.with_current(key, now)
            changed = row.changed(now, self._command, webhook=keys)
            if await self._rows.update(changed, self._event("updated", changed, {"fields": [FIELD]})):
                self._parts.written()
                return _rotated(changed, took_webhook_secret=True)
        raise _busy()

    async def delete(self, payload: DeleteAssistant) -> Deleted:
        """Raises: CommandError `not_found`, `conflict` while numbers lead to it, `precondition_failed`."""
        for _ in range(TRIES):
            row, now = await self._rows.get(payload.assistant_id, also_deleted=True), datetime.now(UTC)
            if row is not None and row.deleted and has_done(row.commands, self._command, now):
                return Deleted(id=row.id)  # before a crash
            if row is None or row.deleted:
                raise not_found("assistant", payload.assistant_id)
            await self._refuse_if_called(row.id)
            _check_revision(row, payload.if_revision)
            changed = row.changed(now, self._command, deleted=True, name_key=f"{row.name_key}#{row.id}")
            if await self._rows.update(changed, self._event("deleted", changed, {})):
                self._parts.written()
                return Deleted(id=row.id)
        raise _busy()

    async def endpoints(self, payload: AssistantRef) -> Endpoints:
        """Where its events go. Raises: CommandError `not_found`."""
        row = await self._found(payload.assistant_id)
        signing = () if row.webhook is None else row.webhook.signing(datetime.now(UTC))
        return Endpoints(
            assistant_id=row.id,
            webhook_url=row.document["webhook_url"],
            sms_webhook_url=row.document["sms_webhook_url"],
            signing_secrets=tuple(SealedSecret.model_validate(key.sealed) for key in signing),
        )

    async def pin(self, payload: AssistantRef) -> PinnedAssistant:
        """For a call. Raises: CommandError `not_found`."""
        return pinned(await self._found(payload.assistant_id), self._parts.rules)

    async def _write(
        self, payload: UpdateAssistantV2 | ReplaceAssistantV2, wanted: Callable[[AssistantRow], dict[str, Any]]
    ) -> WrittenAssistant:
        """Somebody else's write in between is taken in, unless the client said which revision it means."""
        for _ in range(TRIES):
            row, now = await self._found(payload.assistant_id), datetime.now(UTC)
            if has_done(row.commands, self._command, now):
                return _written(row)  # before a crash
            _check_revision(row, payload.if_revision)
            stored = await self._validated(payload, wanted(row), row.id, before=row)
            webhook, took = self._webhook_keys(payload, stored, row.webhook, now)
            name_key = model.name_key(stored["name"])
            changed = row.changed(now, self._command, document=stored, name_key=name_key, webhook=webhook)
            fields: list[Any] = model.changed_fields(row.document, stored)
            fields += [FIELD] if webhook != row.webhook else []
            try:
                if await self._rows.update(changed, self._event("updated", changed, {"fields": fields})):
                    self._parts.written()
                    return _written(changed, took_webhook_secret=took)
            except NameTakenError:
                raise _name_taken(stored["name"]) from None
        raise _busy()

    async def _found(self, assistant_id: str) -> AssistantRow:
        row = await self._rows.get(assistant_id)
        if row is None:
            raise not_found("assistant", assistant_id)
        return row

    async def _any(self, assistant_id: str) -> AssistantRow | None:
        return await self._rows.get(assistant_id, also_deleted=True)

    async def _refuse_if_called(self, assistant_id: str) -> None:
        held = await self._parts.numbers.page(self._organization_id, assistant_id, _NUMBERS_NAMED, None)
        if held:
            words = f"{', '.join(row.number for row in held)} would be answered by nobody: release or assign them first"
            raise CommandError(ErrorCode.CONFLICT, words)

    async def _validated(
        self,
        payload: SealedRequest,
        document: dict[str, Any],
        assistant_id: str,
        *,
        before: AssistantRow | None = None,
    ) -> dict[str, Any]:
        """The document to store. Raises: CommandError `invalid`."""
        rest, problem = webhook_keys.without_mask(document, before.webhook if before else None)
        refused = payload.refused if problem is None else (*payload.refused, problem)
        # in a thread: to judge a document's schemas can take a second, and other commands go on meanwhile
        return await asyncio.to_thread(
            model.stored_form,
            rest,
            Owner(self._organization_id, assistant_id),
            self._parts.rules,
            before=before.document if before else None,
            refused=refused,
        )

    def _webhook_keys(
        self, payload: SealedRequest, stored: dict[str, Any], keys: WebhookKeys | None, now: datetime
    ) -> tuple[WebhookKeys | None, bool]:
        """The signing secrets: the client's own, or the one made for the request when the first URL is set.

        Also whether the one that was made is taken. Raises: CommandError `conflict`, when too many would sign.
        """
        key = webhook_keys.key_of(payload.webhook_secret)
        if payload.webhook_secret.brought:
            return WebhookKeys(key) if keys is None else keys.with_current(key, now), False
        if keys is not None or not model.wants_webhooks(stored):
            return keys, False
        return WebhookKeys(key), True

    def _event(self, name: str, row: AssistantRow, more: dict[str, Any]) -> Event:
        return events.build(
            Entity.ASSISTANT,
            row.id,
            name,
            organization=self._organization_id,
            sequence=row.sequence,
            now=row.updated_at,
            data={"assistant_id": row.id, "name": row.document["name"], "revision": row.revision, **more},
        )


def pinned(row: AssistantRow, rules: model.Rules) -> PinnedAssistant:
    """The row as a call pins it."""
    document = model.fully_sealed(row.document, Owner(row.organization_id, row.id), rules)
    return PinnedAssistant(id=row.id, organization_id=row.organization_id, revision=row.revision, document=document)


def _shown(row: AssistantRow) -> Assistant:
    return Assistant(
        id=row.id,
        organization_id=row.organization_id,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        document=model.masked(row.document),
        webhook_secret=webhook_keys.shown(row.webhook),
    )


def _brought(payload: SealedRequest) -> tuple[str, ...]:
    return (FIELD,) if payload.webhook_secret.brought else ()


def _rotated(row: AssistantRow, *, took_webhook_secret: bool = False) -> WrittenAssistant:
    return WrittenAssistant(**dict(_shown(row)), took_webhook_secret=took_webhook_secret)


def _written(row: AssistantRow, *, took_webhook_secret: bool = False) -> WrittenAssistant:
    """What the writer of a document is shown: also what it will most likely not do as was meant."""
    written = _rotated(row, took_webhook_secret=took_webhook_secret)
    return written.model_copy(update={"warnings": warnings_of(row.document)})


def _position(row: AssistantRow) -> str:
    return pages.position(row.created_at, row.id)


def _check_revision(row: AssistantRow, wanted: int | None) -> None:
    if wanted is not None and wanted != row.revision:
        words = f"the assistant is at revision {row.revision}, not {wanted}: read it again"
        raise CommandError(ErrorCode.PRECONDITION_FAILED, words)


def _name_taken(name: str) -> CommandError:
    problem = FieldProblem(path="name", message="another assistant of your organization has this name")
    return CommandError(ErrorCode.CONFLICT, f"the name {name!r} is taken", fields=(problem,))


def _busy() -> CommandError:
    return CommandError(ErrorCode.CONFLICT, "too many writers at once; ask again", retry_after_s=1.0)
