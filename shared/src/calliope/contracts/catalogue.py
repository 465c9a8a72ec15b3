"""Every message of the bus as data: who owns it, its shape, what it says. Documents and snapshots are made from it.

A message that is not here does not exist: tests compare this with the subjects and with what services send.
"""

from dataclasses import dataclass
from typing import Final

from calliope.contracts import assistants, call_records, calls, checks, facts, identity, live_calls, webhooks, workers
from calliope.contracts.base import Message, event_type
from calliope.contracts.subjects import Command, Entity


@dataclass(frozen=True, slots=True)
class CommandShape:
    """One command: `owner` alone answers it."""

    subject: Command
    owner: str
    payload: type[Message]
    reply: type[Message]
    says: str


@dataclass(frozen=True, slots=True)
class EventShape:
    """One event: `owner` alone publishes it. `data` is what its envelope carries."""

    entity: Entity
    name: str
    owner: str
    data: type[Message]

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return event_type(self.entity.value, self.name)

    @property
    def says(self) -> str:
        """In one line."""
        return (self.data.__doc__ or "").strip().partition("\n")[0]


def _assistants(subject: Command, payload: type[Message], reply: type[Message], says: str) -> CommandShape:
    return CommandShape(subject, "assistants", payload, reply, says)


COMMANDS: Final = (
    _assistants(
        Command.ASSISTANTS_CREATE,
        assistants.CreateAssistant,
        assistants.Assistant,
        "Store a new assistant; secrets in clear, from gateways of the version before.",
    ),
    _assistants(
        Command.ASSISTANTS_CREATE_V2,
        assistants.CreateAssistantV2,
        assistants.WrittenAssistant,
        "Store a new assistant; secrets sealed.",
    ),
    _assistants(Command.ASSISTANTS_GET, assistants.AssistantRef, assistants.Assistant, "Show an assistant."),
    _assistants(
        Command.ASSISTANTS_LIST, assistants.ListAssistants, assistants.AssistantPage, "List assistants, newest first."
    ),
    _assistants(
        Command.ASSISTANTS_UPDATE,
        assistants.UpdateAssistant,
        assistants.Assistant,
        "Change parts of an assistant; as create.v1.",
    ),
    _assistants(
        Command.ASSISTANTS_REPLACE,
        assistants.ReplaceAssistant,
        assistants.Assistant,
        "Replace a whole document; as create.v1.",
    ),
    _assistants(
        Command.ASSISTANTS_DELETE,
        assistants.DeleteAssistant,
        assistants.Deleted,
        "Delete an assistant; its name is free.",
    ),
    _assistants(
        Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET,
        assistants.AssistantRef,
        assistants.Assistant,
        "Make a new signing secret, answered in clear; for gateways of the version before.",
    ),
    _assistants(
        Command.ASSISTANTS_UPDATE_V2,
        assistants.UpdateAssistantV2,
        assistants.WrittenAssistant,
        "Change parts of an assistant; secrets sealed.",
    ),
    _assistants(
        Command.ASSISTANTS_REPLACE_V2,
        assistants.ReplaceAssistantV2,
        assistants.WrittenAssistant,
        "Replace a whole document; secrets sealed.",
    ),
    _assistants(
        Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2,
        assistants.RotateWebhookSecretV2,
        assistants.WrittenAssistant,
        "Take a new signing secret, sealed; the old one signs too for 24 hours, at most three at a time.",
    ),
    _assistants(
        Command.ASSISTANTS_ENDPOINTS,
        assistants.AssistantRef,
        assistants.Endpoints,
        "Where an assistant's events go; signing secrets sealed to webhooks.",
    ),
    _assistants(
        Command.ASSISTANTS_PIN,
        assistants.AssistantRef,
        assistants.PinnedAssistant,
        "The document as a call keeps it; secrets sealed to call-workers.",
    ),
    _assistants(
        Command.PHONE_NUMBERS_ASSIGN,
        assistants.AssignPhoneNumber,
        assistants.PhoneNumber,
        "Let an assistant answer a number.",
    ),
    _assistants(
        Command.PHONE_NUMBERS_LIST,
        assistants.ListPhoneNumbers,
        assistants.PhoneNumberList,
        "List the numbers, in the order of their digits.",
    ),
    _assistants(
        Command.PHONE_NUMBERS_RELEASE, assistants.PhoneNumberRef, assistants.Deleted, "Let nobody answer a number."
    ),
    _assistants(
        Command.PHONE_NUMBERS_RESOLVE,
        assistants.ResolveNumber,
        assistants.ResolvedNumber,
        "Who answers a number, of whichever organization.",
    ),
    _assistants(
        Command.PHONE_NUMBERS_ROUTE,
        assistants.PhoneNumberRef,
        assistants.NumberRoute,
        "Where calls to a number go, and what verifies its carrier's requests; without the document.",
    ),
    _assistants(Command.IDENTITY_AUTHENTICATE, identity.Authenticate, identity.Principal, "Whose key is this?"),
    _assistants(
        Command.ORGANIZATIONS_CREATE,
        identity.CreateOrganization,
        identity.Organization,
        "Store a new organization; for operators.",
    ),
    _assistants(Command.ORGANIZATIONS_GET, assistants.Nothing, identity.Organization, "Show the organization."),
    _assistants(
        Command.ORGANIZATIONS_LIST,
        identity.ListOrganizations,
        identity.OrganizationPage,
        "List all organizations, newest first; for operators.",
    ),
    _assistants(
        Command.API_KEYS_CREATE,
        identity.CreateApiKey,
        identity.StoredApiKey,
        "Store an API key by its hash; whoever made it shows it.",
    ),
    _assistants(
        Command.STORE_CHECK,
        assistants.CheckStore,
        assistants.Nothing,
        "Say whether the store answers and takes writes.",
    ),
    _assistants(Command.API_KEYS_LIST, identity.ListApiKeys, identity.ApiKeyPage, "List API keys, newest first."),
    _assistants(
        Command.API_KEYS_REVOKE, identity.RevokeApiKey, identity.ApiKey, "Refuse an API key for ever, from now on."
    ),
    _assistants(
        Command.CALL_RECORDS_GET,
        call_records.CallRef,
        call_records.CallRecord,
        "Show a call with its transcript and events.",
    ),
    _assistants(Command.CALL_RECORDS_LIST, call_records.ListCalls, call_records.CallPage, "List calls, newest first."),
    _assistants(
        Command.CALL_RECORDS_LIST_EVENTS,
        call_records.ListCallEvents,
        call_records.CallEventPage,
        "List the events of a call, in their order.",
    ),
    _assistants(
        Command.CALL_RECORDS_LIST_TRANSCRIPT,
        call_records.ListTranscript,
        call_records.TranscriptPage,
        "List what both sides said during a call.",
    ),
    CommandShape(
        Command.CALLS_ACCEPT,
        "call-worker",
        calls.CarrierRequest,
        calls.CarrierResponse,
        "Answer a carrier's hook; read by one worker with a free slot.",
    ),
    CommandShape(
        Command.CALLS_DECLINE,
        "call-worker",
        calls.CarrierRequest,
        calls.CarrierResponse,
        "Answer a carrier's hook that no worker with a free slot took, a new call with a refusal; read by any worker.",
    ),
    CommandShape(
        Command.CALLS_DESCRIBE,
        "call-worker",
        live_calls.LiveCallRef,
        live_calls.HeldCall,
        "Whether a worker has a call; every worker answers for itself. For operators.",
    ),
    CommandShape(
        Command.CALLS_END,
        "call-worker",
        live_calls.LiveCallRef,
        live_calls.HeldCall,
        "Hang up; the worker that has the call does it, every worker answers for itself. For operators.",
    ),
    CommandShape(
        Command.CALLS_RELEASE,
        "call-worker",
        live_calls.LiveCallRef,
        live_calls.HeldCall,
        "Hand a call over to another worker; who has it does it, every worker answers for itself. For operators.",
    ),
    CommandShape(
        Command.CALLS_CLOSE,
        "call-worker",
        live_calls.LiveCallRef,
        live_calls.ClosedCall,
        "Write the end of a call that no worker has, and hang up; read by any worker. For operators.",
    ),
    CommandShape(
        Command.WORKERS_DESCRIBE,
        "call-worker",
        assistants.Nothing,
        workers.WorkerDescription,
        "What a worker is and whether it would take a call; every worker answers for itself.",
    ),
    CommandShape(
        Command.DELIVERIES_LIST,
        "webhooks",
        webhooks.ListDeliveries,
        webhooks.DeliveryPage,
        "List webhook deliveries, newest first.",
    ),
    CommandShape(
        Command.DELIVERIES_REPLAY,
        "webhooks",
        webhooks.ReplayDelivery,
        webhooks.Delivery,
        "Send a delivery again, with the same webhook-id.",
    ),
    CommandShape(
        Command.VENDORS_CHECK,
        "call-worker",
        assistants.AssistantRef,
        checks.AssistantCheck,
        "Ask every vendor of an assistant whether a call could use it; any worker answers, within 5 s.",
    ),
)

EVENTS: Final = (
    EventShape(Entity.ASSISTANT, "created", "assistants", facts.AssistantChanged),
    EventShape(Entity.ASSISTANT, "updated", "assistants", facts.AssistantChanged),
    EventShape(Entity.ASSISTANT, "deleted", "assistants", facts.AssistantDeleted),
    EventShape(Entity.PHONE_NUMBER, "assigned", "assistants", facts.NumberMoved),
    EventShape(Entity.PHONE_NUMBER, "released", "assistants", facts.NumberMoved),
    EventShape(Entity.ORGANIZATION, "created", "assistants", facts.OrganizationCreated),
    EventShape(Entity.API_KEY, "created", "assistants", facts.ApiKeyCreated),
    EventShape(Entity.API_KEY, "revoked", "assistants", facts.ApiKeyRevoked),
    *(EventShape(Entity.CALL, name, "call-worker", data) for name, data in calls.CALL_EVENTS.items()),
    EventShape(Entity.DELIVERY, "dead", "webhooks", facts.DeliveryDead),
)

_BY_SUBJECT: Final = {shape.subject: shape for shape in COMMANDS}
_BY_TYPE: Final = {shape.type: shape for shape in EVENTS}


def command_shape(subject: Command) -> CommandShape:
    """What is declared of a command."""
    return _BY_SUBJECT[subject]


def event_shape(type_: str) -> EventShape:
    """The declared event of a CloudEvents type. Raises: LookupError, when there is none: declare it in EVENTS."""
    if type_ not in _BY_TYPE:
        raise LookupError(f"{type_} is not declared in calliope.contracts.catalogue")
    return _BY_TYPE[type_]
