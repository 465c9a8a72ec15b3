"""NATS edge of identity: one command, one use case."""

from collections.abc import Callable
from typing import Any, Final

from calliope.contracts.assistants import Nothing
from calliope.contracts.base import CommandMessage
from calliope.contracts.identity import (
    ApiKey,
    ApiKeyPage,
    Authenticate,
    CreateApiKey,
    CreateOrganization,
    ListApiKeys,
    ListOrganizations,
    Organization,
    OrganizationPage,
    Principal,
    RevokeApiKey,
    StoredApiKey,
)
from calliope.contracts.subjects import Command
from calliope.idempotency import command_key
from calliope.messaging.broker import Bus
from calliope_assistants.commands import Once
from calliope_assistants.edge import key_of, on_command, organization_of
from calliope_assistants.identity.authentication import authenticate
from calliope_assistants.identity.keys import KeyService
from calliope_assistants.identity.organizations import OrganizationService
from calliope_assistants.identity.ports import Keys, Organizations

_OPERATOR: Final = ""
"""For whom an operator's command speaks: for no organization."""


class IdentityHandlers:
    """Every subscription about organizations and API keys."""

    def __init__(self, organizations: Organizations, keys: Keys, once: Once, written: Callable[[], None]) -> None:
        self._organizations = organizations
        self._keys = keys
        self._once = once
        self._written = written

    def subscribe(self, bus: Bus) -> None:
        """Answer commands."""
        self._organization_commands(bus)
        self._key_commands(bus)

    def _organization_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.ORGANIZATIONS_CREATE)
        async def create(command: CommandMessage[CreateOrganization]) -> Organization:
            subject, id_ = Command.ORGANIZATIONS_CREATE, command.command_id
            key = None if id_ is None else command_key(_OPERATOR, subject, id_)
            service = OrganizationService(self._organizations, self._written, command=key)
            return await self._once.run(
                organization_id=_OPERATOR,
                subject=subject,
                command_id=id_,
                payload=command.payload,
                reply_type=Organization,
                work=lambda: service.create(command.payload),
            )

        @on(Command.ORGANIZATIONS_GET)
        async def get(command: CommandMessage[Nothing]) -> Organization:
            return await OrganizationService(self._organizations, self._written).get(organization_of(command))

        @on(Command.ORGANIZATIONS_LIST)
        async def page(command: CommandMessage[ListOrganizations]) -> OrganizationPage:
            return await OrganizationService(self._organizations, self._written).page(command.payload)

    def _key_commands(self, bus: Bus) -> None:
        on = on_command(bus)

        @on(Command.IDENTITY_AUTHENTICATE)
        async def whose(command: CommandMessage[Authenticate]) -> Principal:
            return await authenticate(self._keys, command.payload)

        @on(Command.API_KEYS_CREATE)
        async def create(command: CommandMessage[CreateApiKey]) -> StoredApiKey:
            subject = Command.API_KEYS_CREATE
            service = self._key_service(command, subject)
            return await self._once.run(
                organization_id=organization_of(command),
                subject=subject,
                command_id=command.command_id,
                payload=_asked_for(command.payload),
                reply_type=StoredApiKey,
                work=lambda: service.create(command.payload),
            )

        @on(Command.API_KEYS_LIST)
        async def page(command: CommandMessage[ListApiKeys]) -> ApiKeyPage:
            return await self._key_service(command).page(command.payload)

        @on(Command.API_KEYS_REVOKE)
        async def revoke(command: CommandMessage[RevokeApiKey]) -> ApiKey:
            return await self._key_service(command).revoke(command.payload)

    def _key_service(self, command: CommandMessage[Any], subject: str | None = None) -> KeyService:
        return KeyService(
            organization_of(command), self._keys, self._organizations, self._written, command=key_of(command, subject)
        )


def _asked_for(payload: CreateApiKey) -> CreateApiKey:
    """What makes a repeated request the same: each sending makes another key, and another key may send it."""
    return payload.model_copy(update={"key_sha256": "", "last4": "", "by_key": None})
