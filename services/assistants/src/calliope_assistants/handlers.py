"""NATS edge of assistants: one command, one use case; and the call events that records are built from."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from calliope.contracts.assistants import (
    AssignPhoneNumber,
    Assistant,
    AssistantPage,
    AssistantRef,
    CreateAssistant,
    CreateAssistantV2,
    DeleteAssistant,
    Deleted,
    Endpoints,
    ListAssistants,
    ListPhoneNumbers,
    NumberRoute,
    PhoneNumber,
    PhoneNumberList,
    PhoneNumberRef,
    PinnedAssistant,
    ReplaceAssistant,
    ReplaceAssistantV2,
    ResolvedNumber,
    ResolveNumber,
    RotateWebhookSecretV2,
    UpdateAssistant,
    UpdateAssistantV2,
    WrittenAssistant,
)
from calliope.contracts.base import CommandMessage, Event
from calliope.contracts.call_records import (
    CallEventPage,
    CallPage,
    CallRecord,
    CallRef,
    ListCallEvents,
    ListCalls,
    ListTranscript,
    TranscriptPage,
)
from calliope.contracts.subjects import Command
from calliope.messaging import streams
from calliope.messaging.broker import Bus, consumer
from calliope.sealed_documents import DocumentSealer
from calliope_assistants import numbers
from calliope_assistants.calls import CallRecords
from calliope_assistants.commands import Once, mark_of_write
from calliope_assistants.edge import key_of, on_command, organization_of
from calliope_assistants.numbers import NumberService
from calliope_assistants.older_writes import OlderWrites, hide_webhook_secret
from calliope_assistants.ports import Assistants, CallEvents, Numbers
from calliope_assistants.projection import CallProjection
from calliope_assistants.service import AssistantService, Parts

ReplyT = TypeVar("ReplyT", bound=BaseModel)


class Handlers:
    """Every subscription of the service."""

    def __init__(
        self,
        *,
        parts: Parts,
        sealer: DocumentSealer,
        rows_of: Callable[[str], Assistants],
        calls: CallEvents,
        once: Once,
        retry_event: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._parts = parts
        self._sealer = sealer
        self._rows_of = rows_of
        self._numbers: Numbers = parts.numbers
        self._calls = calls
        self._once = once
        self._retry_event = retry_event

    def subscribe(self, bus: Bus) -> None:
        """Answer commands and read call events."""
        self._assistant_commands(bus)
        self._older_assistant_commands(bus)
        self._number_commands(bus)
        self._record_commands(bus)

    def _assistant_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.ASSISTANTS_CREATE_V2)
        async def create(command: CommandMessage[CreateAssistantV2]) -> WrittenAssistant:
            return await self._write(Command.ASSISTANTS_CREATE, command, AssistantService.create)

        @on(Command.ASSISTANTS_UPDATE_V2)
        async def update(command: CommandMessage[UpdateAssistantV2]) -> WrittenAssistant:
            return await self._write(Command.ASSISTANTS_UPDATE, command, AssistantService.update)

        @on(Command.ASSISTANTS_REPLACE_V2)
        async def replace(command: CommandMessage[ReplaceAssistantV2]) -> WrittenAssistant:
            return await self._write(Command.ASSISTANTS_REPLACE, command, AssistantService.replace)

        @on(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2)
        async def rotate(command: CommandMessage[RotateWebhookSecretV2]) -> WrittenAssistant:
            subject = Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET
            return await self._write(subject, command, AssistantService.rotate_webhook_secret)

        @on(Command.ASSISTANTS_DELETE)
        async def delete(command: CommandMessage[DeleteAssistant]) -> Deleted:
            service = self._service(command, Command.ASSISTANTS_DELETE)
            return await self._run_once(
                Command.ASSISTANTS_DELETE, command, Deleted, lambda: service.delete(command.payload)
            )

        @on(Command.ASSISTANTS_GET)
        async def get(command: CommandMessage[AssistantRef]) -> Assistant:
            return await self._service(command).get(command.payload)

        @on(Command.ASSISTANTS_LIST)
        async def page(command: CommandMessage[ListAssistants]) -> AssistantPage:
            return await self._service(command).page(command.payload)

        @on(Command.ASSISTANTS_ENDPOINTS)
        async def endpoints(command: CommandMessage[AssistantRef]) -> Endpoints:
            return await self._service(command).endpoints(command.payload)

        @on(Command.ASSISTANTS_PIN)
        async def pin(command: CommandMessage[AssistantRef]) -> PinnedAssistant:
            return await self._service(command).pin(command.payload)

    def _older_assistant_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.ASSISTANTS_CREATE)
        async def create(command: CommandMessage[CreateAssistant]) -> Assistant:
            return await self._older_write(Command.ASSISTANTS_CREATE, command, OlderWrites.create)

        @on(Command.ASSISTANTS_UPDATE)
        async def update(command: CommandMessage[UpdateAssistant]) -> Assistant:
            return await self._older_write(Command.ASSISTANTS_UPDATE, command, OlderWrites.update)

        @on(Command.ASSISTANTS_REPLACE)
        async def replace(command: CommandMessage[ReplaceAssistant]) -> Assistant:
            return await self._older_write(Command.ASSISTANTS_REPLACE, command, OlderWrites.replace)

        @on(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET)
        async def rotate(command: CommandMessage[AssistantRef]) -> Assistant:
            subject = Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET
            return await self._older_write(subject, command, OlderWrites.rotate_webhook_secret)

    def _number_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.PHONE_NUMBERS_ASSIGN)
        async def assign(command: CommandMessage[AssignPhoneNumber]) -> PhoneNumber:
            service = self._number_service(command, Command.PHONE_NUMBERS_ASSIGN)
            return await self._run_once(
                Command.PHONE_NUMBERS_ASSIGN, command, PhoneNumber, lambda: service.assign(command.payload)
            )

        @on(Command.PHONE_NUMBERS_RELEASE)
        async def release(command: CommandMessage[PhoneNumberRef]) -> Deleted:
            service = self._number_service(command, Command.PHONE_NUMBERS_RELEASE)
            return await self._run_once(
                Command.PHONE_NUMBERS_RELEASE, command, Deleted, lambda: service.release(command.payload)
            )

        @on(Command.PHONE_NUMBERS_LIST)
        async def page(command: CommandMessage[ListPhoneNumbers]) -> PhoneNumberList:
            return await self._number_service(command).page(command.payload)

        @on(Command.PHONE_NUMBERS_RESOLVE)
        async def resolve(command: CommandMessage[ResolveNumber]) -> ResolvedNumber:
            return await numbers.resolve(self._numbers, self._rows_of, self._parts.rules, command.payload)

        @on(Command.PHONE_NUMBERS_ROUTE)
        async def route(command: CommandMessage[PhoneNumberRef]) -> NumberRoute:
            return await numbers.route(self._numbers, self._rows_of, command.payload)

    def _record_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.CALL_RECORDS_GET)
        async def get(command: CommandMessage[CallRef]) -> CallRecord:
            return await CallRecords(organization_of(command), self._calls).get(command.payload)

        @on(Command.CALL_RECORDS_LIST)
        async def page(command: CommandMessage[ListCalls]) -> CallPage:
            return await CallRecords(organization_of(command), self._calls).page(command.payload)

        @on(Command.CALL_RECORDS_LIST_EVENTS)
        async def events(command: CommandMessage[ListCallEvents]) -> CallEventPage:
            return await CallRecords(organization_of(command), self._calls).events(command.payload)

        @on(Command.CALL_RECORDS_LIST_TRANSCRIPT)
        async def transcript(command: CommandMessage[ListTranscript]) -> TranscriptPage:
            return await CallRecords(organization_of(command), self._calls).transcript(command.payload)

        projection = CallProjection(self._calls)

        @consumer(bus, streams.ASSISTANTS_PROJECTION, batch=streams.ASSISTANTS_PROJECTION.max_ack_pending)
        async def project(event: Event) -> None:
            """Keep a call's event; running twice keeps it once."""
            await projection.add(event)

        @consumer(bus, streams.ASSISTANTS_OUTBOX)
        async def retry(event: Event) -> None:
            """Publish an event again that the bus had refused; running twice publishes it once."""
            await self._retry_event(event)

    async def _write(
        self,
        subject: Command,
        command: CommandMessage[Any],
        use_case: Callable[[AssistantService, Any], Awaitable[WrittenAssistant]],
    ) -> WrittenAssistant:
        """A repetition is known by the first version's `subject`, whichever version asks."""
        service = self._service(command, subject)
        return await self._run_once(
            subject,
            command,
            WrittenAssistant,
            lambda: use_case(service, command.payload),
            keep=lambda written: written.model_copy(update={"took_webhook_secret": False}),
            mark=mark_of_write(command.payload),
        )

    async def _older_write(
        self,
        subject: Command,
        command: CommandMessage[Any],
        use_case: Callable[[OlderWrites, Any], Awaitable[Assistant]],
    ) -> Assistant:
        writes = OlderWrites(
            organization_of(command),
            self._service(command, subject),
            self._sealer,
            command=key_of(command, subject),
        )
        return await self._run_once(
            subject, command, Assistant, lambda: use_case(writes, command.payload), keep=hide_webhook_secret
        )

    async def _run_once(
        self,
        subject: Command,
        command: CommandMessage[Any],
        reply_type: type[ReplyT],
        work: Callable[[], Awaitable[ReplyT]],
        keep: Callable[[ReplyT], ReplyT] = lambda reply: reply,
        mark: str | None = None,
    ) -> ReplyT:
        return await self._once.run(
            organization_id=organization_of(command),
            subject=subject,
            command_id=command.command_id,
            payload=command.payload,
            reply_type=reply_type,
            work=work,
            keep=keep,
            mark=mark,
        )

    def _service(self, command: CommandMessage[Any], subject: str | None = None) -> AssistantService:
        organization_id = organization_of(command)
        key = key_of(command, subject)
        return AssistantService(organization_id, self._rows_of(organization_id), self._parts, command=key)

    def _number_service(self, command: CommandMessage[Any], subject: str | None = None) -> NumberService:
        organization_id = organization_of(command)
        rows, written = self._rows_of(organization_id), self._parts.written
        return NumberService(organization_id, self._numbers, rows, written, command=key_of(command, subject))
