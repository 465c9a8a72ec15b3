"""Writes as gateways of the version before send them, secrets in clear: sealed here, then they go the common way.

To be removed, with the subjects that lead here, when no such gateway runs any more.
"""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from calliope.contracts.assistants import (
    Assistant,
    AssistantRef,
    CreateAssistant,
    CreateAssistantV2,
    ReplaceAssistant,
    ReplaceAssistantV2,
    RotateWebhookSecretV2,
    UpdateAssistant,
    UpdateAssistantV2,
    WrittenAssistant,
)
from calliope.idempotency import id_made_by
from calliope.sealed_documents import DigestKey, DocumentSealer, Owner, SealedDocument
from calliope_assistants.service import AssistantService

WriteT = TypeVar("WriteT")


class OlderWrites:
    """Writes for one organization; a signing secret that is made is in the answer, as these gateways show it."""

    def __init__(
        self, organization_id: str, service: AssistantService, sealer: DocumentSealer, *, command: str | None
    ) -> None:
        self._organization_id = organization_id
        self._service = service
        self._sealer = sealer
        self._command = command

    async def create(self, payload: CreateAssistant) -> Assistant:
        """See `AssistantService.create`."""
        assistant_id = id_made_by("asst", self._organization_id, self._command, datetime.now(UTC))
        sealed = await self._sealed(payload.document, assistant_id)
        write = CreateAssistantV2(
            assistant_id=assistant_id,
            document=sealed.document,
            **sealed.beside,
        )
        return await _answered(self._service.create, write, sealed.made)

    async def update(self, payload: UpdateAssistant) -> Assistant:
        """See `AssistantService.update`."""
        sealed = await self._sealed(payload.patch, payload.assistant_id)
        write = UpdateAssistantV2(
            assistant_id=payload.assistant_id,
            if_revision=payload.if_revision,
            patch=sealed.document,
            **sealed.beside,
        )
        return await _answered(self._service.update, write, sealed.made)

    async def replace(self, payload: ReplaceAssistant) -> Assistant:
        """See `AssistantService.replace`."""
        sealed = await self._sealed(payload.document, payload.assistant_id)
        write = ReplaceAssistantV2(
            assistant_id=payload.assistant_id,
            if_revision=payload.if_revision,
            document=sealed.document,
            **sealed.beside,
        )
        return await _answered(self._service.replace, write, sealed.made)

    async def rotate_webhook_secret(self, payload: AssistantRef) -> Assistant:
        """See `AssistantService.rotate_webhook_secret`."""
        secret, made = self._sealer.new_webhook_secret(Owner(self._organization_id, payload.assistant_id))
        write = RotateWebhookSecretV2(assistant_id=payload.assistant_id, webhook_secret=secret)
        return await _answered(self._service.rotate_webhook_secret, write, made)

    async def _sealed(self, document: dict[str, object], assistant_id: str) -> SealedDocument:
        """Nobody reads these digests: such commands are recognised by what they say."""
        owner = Owner(self._organization_id, assistant_id)
        return await self._sealer.seal(document, owner, digest_key=DigestKey("none", secrets.token_bytes(32)))


async def _answered(
    use_case: Callable[[WriteT], Awaitable[WrittenAssistant]], write: WriteT, made: str | None
) -> Assistant:
    written = await use_case(write)
    shown = Assistant(**{name: getattr(written, name) for name in Assistant.model_fields})
    return shown.model_copy(update={"webhook_secret": made}) if made and written.took_webhook_secret else shown


def hide_webhook_secret(shown: Assistant) -> Assistant:
    """What is kept of an answer for repeated commands: the secret is shown once."""
    secret = shown.webhook_secret
    if secret is None or not secret.startswith("whsec_"):
        return shown
    return shown.model_copy(update={"webhook_secret": f"••••{secret[-4:]}"})
