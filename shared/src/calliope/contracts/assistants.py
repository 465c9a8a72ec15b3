"""Assistants and phone numbers on the bus: what is stored, the commands around it, and what calls and webhooks get."""

from typing import Any, Literal

from pydantic import Field, JsonValue, PositiveInt, SecretStr

from calliope.contracts.base import E164, Message, Moment, Request, Token
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.errors import FieldProblem


class SealedSecret(Message):
    """A secret that only the holder of the private key can read. `last4` is empty for short secrets."""

    v: int = 1
    key_id: str
    sealed: str = Field(description="base64 of the sealed bytes.")
    last4: str = ""


class SentSecret(SealedSecret):
    """A secret on its way to where it is stored: sealed where it arrived."""

    digest: str = Field(
        description="HMAC-SHA256 of the secret under the API key of the request: the same in a repeated request, and "
        "nothing that anybody else can check a guess against. Not stored."
    )


class NewWebhookSecret(Message):
    """A signing secret on its way to where it is stored, sealed to the webhooks service."""

    sealed: SealedSecret
    fingerprint: str = Field(description="The same when the same assistant's secret is sent again.")
    digest: str = Field(default="", description="As `SentSecret.digest`; empty unless the client brought the secret.")
    brought: bool = Field(
        description="Whether the client brought it. Else it was made for the request, and is taken only when the "
        "assistant gets its first webhook URL by it."
    )


class Assistant(Message):
    """A stored assistant as the API shows it: the document with secrets masked, and what the server knows."""

    id: Token = Field(description="Id of the assistant.", examples=["asst_01jd0000000000000000000000"])
    organization_id: Token = Field(description="Whose assistant it is.", examples=["org_01jd0000000000000000000000"])
    revision: PositiveInt = Field(description="Counts writes; the ETag of the document.")
    created_at: Moment = Field(description="When it was created, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    updated_at: Moment = Field(description="When it was written last, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    document: dict[str, JsonValue] = Field(description="The fields of `AssistantSpec`, secrets masked.")
    webhook_secret: str | None = Field(
        default=None,
        description="What verifies the webhooks, masked. In full only in the answer to the request that made it: never "
        "again, and never when the client brought it.",
        json_schema_extra={"format": "password"},
    )
    warnings: tuple[FieldProblem, ...] | None = Field(
        default=None,
        description="Only in the answer to a write: what was accepted and will most likely not do as you mean it, such "
        "as a model name that its vendor is not known to have.",
    )

    def flat(self) -> dict[str, JsonValue]:
        """The HTTP shape: document fields beside the server's own."""
        server = self.model_dump(mode="json", exclude={"document"} | ({"warnings"} if self.warnings is None else set()))
        return {**server, **self.document}


class WrittenAssistant(Assistant):
    """An assistant as it was written; its signing secret is masked here."""

    took_webhook_secret: bool = Field(
        default=False, description="Whether the signing secret that was made for this request is the current one now."
    )


class AssistantRequest(AssistantSpec):
    """What a client writes: the assistant document, and beside it what is not stored in it."""

    webhook_secret: SecretStr | None = Field(
        default=None,
        description="A Standard Webhooks secret of your own: `whsec_` and the base64 of 24 to 64 random bytes. "
        "Register it at your receiver first, and no delivery comes too early, not even `assistant.created`. Absent or "
        "null: kept, or made and shown once when the first webhook URL is set. Another one replaces it: the old one "
        "signs too for 24 hours; at most three sign at a time.",
    )


class CreateAssistant(Message):
    """Store a new assistant. `document` has the shape of `AssistantRequest` and is validated by its owner."""

    document: dict[str, Any]


class AssistantRef(Message):
    """One assistant by id."""

    assistant_id: str = Field(max_length=128)


class SealedRequest(Message):
    """What comes with every written document: nothing in it is a secret in clear."""

    refused: tuple[FieldProblem, ...] = Field(
        default=(), description="Secrets whose form was refused where they were sealed; the document is refused for it."
    )
    webhook_secret: NewWebhookSecret
    digest_key_id: Token = Field(description="Id of the API key under which the digests of its secrets were made.")


class CreateAssistantV2(SealedRequest):
    """Store a new assistant. In `document` every secret is a `SentSecret`, bound to `assistant_id`."""

    assistant_id: Token = Field(description="The id that it gets; the same when the request is repeated on one day.")
    document: dict[str, Any]


class UpdateAssistant(AssistantRef):
    """JSON merge patch (RFC 7396): objects merge, null clears, everything else replaces."""

    patch: dict[str, Any]
    if_revision: int | None = Field(default=None, description="Write only onto this revision.")


class ReplaceAssistant(AssistantRef):
    """Replace the whole document."""

    document: dict[str, Any]
    if_revision: int | None = None


class UpdateAssistantV2(AssistantRef, SealedRequest):
    """As `UpdateAssistant`, every secret in `patch` a `SentSecret`."""

    patch: dict[str, Any]
    if_revision: int | None = Field(default=None, description="Write only onto this revision.")


class ReplaceAssistantV2(AssistantRef, SealedRequest):
    """As `ReplaceAssistant`, every secret in `document` a `SentSecret`."""

    document: dict[str, Any]
    if_revision: int | None = None


class RotateWebhookSecretV2(AssistantRef):
    """Sign with this secret from now on; the replaced one signs too for 24 hours."""

    webhook_secret: NewWebhookSecret


class DeleteAssistant(AssistantRef):
    """Delete; the name is free again. Calls that are live go on with what they pinned."""

    if_revision: int | None = None


class ListAssistants(Message):
    """A page of assistants, newest first."""

    limit: int = Field(default=50, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")


class AssistantPage(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[Assistant, ...] = Field(description="The assistants, newest first.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")


class Deleted(Message):
    """The thing is gone."""

    id: str


class PhoneNumberSpec(Request):
    """Which assistant answers a number. `carrier` decides whose credentials sign its hooks."""

    assistant_id: Token = Field(
        description="Id of the assistant that answers calls to the number.",
        examples=["asst_01jd0000000000000000000000"],
    )
    carrier: Literal["twilio", "telnyx"] = Field(
        default="twilio", description="Whose number it is; that carrier's credentials verify its requests."
    )


class AssignPhoneNumber(Message):
    """Let an assistant answer a number; moves it when another of the same organization had it."""

    number: E164
    spec: dict[str, Any]


class PhoneNumber(Message):
    """A number and who answers it."""

    number: E164 = Field(description="The telephone number, in international form.")
    organization_id: Token = Field(description="Whose number it is.", examples=["org_01jd0000000000000000000000"])
    assistant_id: Token = Field(description="Which assistant answers it.", examples=["asst_01jd0000000000000000000000"])
    carrier: str = Field(description="Whose network it is in: `twilio` or `telnyx`.", examples=["twilio"])
    revision: PositiveInt = Field(description="Counts writes.")
    updated_at: Moment = Field(description="When it was assigned last, in UTC.", examples=["2026-01-31T12:00:00.000Z"])
    warnings: tuple[FieldProblem, ...] | None = Field(
        default=None,
        description="Only in the answer to a write: fields of the assistant because of which calls to this number are "
        "refused.",
    )


class PhoneNumberRef(Message):
    """One number."""

    number: str = Field(max_length=32)


class ResolveNumber(PhoneNumberRef):
    """Who answers a number, asked on behalf of a carrier."""

    also_inactive: bool = Field(
        default=False, description="Also when its assistant is switched off: whoever asks looks at `is_active`."
    )


class ListPhoneNumbers(Message):
    """A page of the numbers that assistants answer, in the order of their digits."""

    limit: int = Field(default=200, ge=1, le=200, description="How many to show at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")
    assistant_id: str | None = Field(default=None, max_length=128, description="Numbers that this assistant answers.")


class PhoneNumberList(Message):
    """`next_cursor` is absent on the last page."""

    items: tuple[PhoneNumber, ...] = Field(description="The numbers, in the order of their digits.")
    next_cursor: str | None = Field(default=None, description="What to send as `cursor` for the next page.")


class Nothing(Message):
    """No parameters."""


class CheckStore(Message):
    """Whether the store answers now, and with `writes` whether it takes them."""

    writes: bool = False


class PinnedAssistant(Message):
    """An assistant as a call pins it: secrets sealed to the call workers. A later change does not reach the call."""

    id: Token
    organization_id: Token
    revision: PositiveInt
    document: dict[str, Any] = Field(description="`AssistantSpec` with a `SealedSecret` for each secret.")


class NumberRoute(Message):
    """Where calls to a number go, and what verifies its carrier's requests; small, as every call asks for it."""

    number: E164
    carrier: str
    organization_id: Token
    assistant_id: Token
    revision: PositiveInt
    is_active: bool = Field(description="False: the assistant is switched off, so calls are refused.")
    account: dict[str, Any] | None = Field(
        default=None,
        description="The assistant's own account at that carrier: `twilio_config` or `telnyx_config` of its document, "
        "secrets sealed. None: the account of the installation.",
    )


class ResolvedNumber(Message):
    """Who answers a number, and everything the call needs."""

    number: E164
    carrier: str
    assistant: PinnedAssistant


class Endpoints(Message):
    """Where the events of one assistant go. The signing secret is sealed to the webhooks service."""

    assistant_id: Token
    webhook_url: str | None = None
    sms_webhook_url: str | None = None
    signing_secrets: tuple[SealedSecret, ...] = Field(default=(), description="Newest first; sign with all of them.")


def secret_context(organization_id: str, document_id: str, path: tuple[str, ...]) -> str:
    """What a sealed secret is bound to, so that a ciphertext moved elsewhere does not open."""
    return "|".join((organization_id, document_id, ".".join(path)))
