"""Keys that secrets are sealed to in tests, and assistants as the gateway asks for them: nothing in clear."""

from datetime import UTC, datetime
from typing import Any, Final

from calliope.contracts.assistants import (
    CreateAssistantV2,
    RotateWebhookSecretV2,
    UpdateAssistantV2,
    WrittenAssistant,
)
from calliope.idempotency import id_made_by
from calliope.sealed_documents import DigestKey, DocumentSealer, Owner, SealedDocument
from calliope.secrets import generate_key, public_key_of
from calliope.settings import PublicKeySettings
from calliope_assistants.service import AssistantService

CALLS_KEY: Final = generate_key()
WEBHOOKS_KEY: Final = generate_key()
PUBLIC_KEYS: Final = PublicKeySettings(
    calls_public_key=public_key_of(CALLS_KEY), webhooks_public_key=public_key_of(WEBHOOKS_KEY)
)
SEALER: Final = DocumentSealer.of(PUBLIC_KEYS)
DIGEST_KEY: Final = DigestKey("key_1", b"cal_live_of_the_tests")


class SealedWrites:
    """What a client writes in clear, sealed and passed to the use cases."""

    def __init__(self, organization_id: str, service: AssistantService, command: str | None = None) -> None:
        self.service = service
        self._organization_id = organization_id
        self._command = command

    async def create(self, document: dict[str, Any], *, now: datetime | None = None) -> WrittenAssistant:
        assistant_id = id_made_by("asst", self._organization_id, self._command, now or datetime.now(UTC))
        sealed = await self._sealed(document, assistant_id)
        payload = CreateAssistantV2(assistant_id=assistant_id, document=sealed.document, **beside(sealed))
        return await self.service.create(payload)

    async def update(
        self, assistant_id: str, patch: dict[str, Any], *, if_revision: int | None = None
    ) -> WrittenAssistant:
        sealed = await self._sealed(patch, assistant_id)
        payload = UpdateAssistantV2(
            assistant_id=assistant_id, patch=sealed.document, if_revision=if_revision, **beside(sealed)
        )
        return await self.service.update(payload)

    async def rotate_webhook_secret(self, assistant_id: str) -> WrittenAssistant:
        secret, _ = SEALER.new_webhook_secret(Owner(self._organization_id, assistant_id))
        payload = RotateWebhookSecretV2(assistant_id=assistant_id, webhook_secret=secret)
        return await self.service.rotate_webhook_secret(payload)

    async def _sealed(self, document: dict[str, Any], assistant_id: str) -> SealedDocument:
        return await SEALER.seal(document, Owner(self._organization_id, assistant_id), digest_key=DIGEST_KEY)


def beside(sealed: SealedDocument) -> dict[str, Any]:
    """What comes with every sealed document."""
    return {
        "refused": sealed.refused,
        "webhook_secret": sealed.webhook_secret,
        "digest_key_id": sealed.digest_key_id,
    }
