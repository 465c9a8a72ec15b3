"""Example bodies for OpenAPI: a few written by hand, the rest made from the examples of the contracts' fields."""

from typing import Any, Final

from pydantic import BaseModel

from calliope.contracts.assistants import Assistant, AssistantPage
from calliope.contracts.call_records import CallEventPage, CallPage, CallRecord, TranscriptPage
from calliope.contracts.webhooks import Delivery, DeliveryPage
from calliope.validation.expectations import whole_example

_DOCUMENT: Final[dict[str, Any]] = {
    "name": "Reception",
    "llm_provider": "openai",
    "llm_provider_config": {"api_key": "sk-your-key", "model": "gpt-4o-mini"},
    "llm_settings": {
        "system_prompt": "You are the receptionist of a dental practice. Answer in one or two short sentences.",
        "welcome_message": "Hello, this is the practice of Dr. Bell. How can I help you?",
    },
    "tts_settings": {"provider": "elevenlabs", "voice_id": "rachel"},
    "stt_settings": {"model": "nova-3", "language": "en-US", "keyterms": ["Dr. Bell"]},
    "tools_settings": {
        "end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]},
        "transfer_call": {
            "enabled": True,
            "scenarios": ["the caller asks for a person"],
            "transfer_numbers": ["+15551234567"],
        },
    },
    "webhook_url": "https://example.com/hooks/calls",
}
_REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "createAssistant": _DOCUMENT,
    "replaceAssistant": _DOCUMENT,
    "updateAssistant": {"llm_settings": {"temperature": 0.3}, "idle_timeout": 10, "description": None},
}
_ASSISTANT: Final[dict[str, Any]] = {
    "id": "asst_01jd0000000000000000000000",
    "organization_id": "org_01jd0000000000000000000000",
    "revision": 1,
    "created_at": "2026-01-31T11:00:00.000Z",
    "updated_at": "2026-01-31T11:00:00.000Z",
    "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    **_DOCUMENT,
    "llm_provider_config": {"api_key": "••••-key", "model": "gpt-4o-mini"},
}
_CALL: Final[dict[str, Any]] = {
    "id": "call_01jd0000000000000000000000",
    "organization_id": "org_01jd0000000000000000000000",
    "assistant_id": "asst_01jd0000000000000000000000",
    "assistant_revision": 1,
    "status": "ended",
    "direction": "inbound",
    "from_number": "+15550001111",
    "to_number": "+15551234567",
    "carrier": "twilio",
    "carrier_call_id": "CA0123456789abcdef0123456789abcdef",
    "started_at": "2026-01-31T12:00:00.000Z",
    "answered_at": "2026-01-31T12:00:00.400Z",
    "ended_at": "2026-01-31T12:00:17.600Z",
    "ended_reason": "assistant_ended",
    "duration_ms": 17200.0,
    "turns": 1,
    "analysis_status": "done",
    "summary": "The caller booked an appointment for Tuesday.",
    "event_count": 13,
}
EVENT: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "evt_01jd0000000000000000000000",
    "type": "calliope.call.ended.v1",
    "source": "/calliope/call-worker",
    "subject": "call/call_01jd0000000000000000000000",
    "time": "2026-01-31T12:00:17.200Z",
    "datacontenttype": "application/json",
    "organization": "org_01jd0000000000000000000000",
    "sequence": 12,
    "data": {"reason": "assistant_ended", "duration_ms": 17200.0, "detail": "", "turns": 4},
}
"""A webhook's body."""
_TRANSCRIPT: Final[list[dict[str, Any]]] = [
    {
        "role": "assistant",
        "text": "Hello, this is the practice of Dr. Bell. How can I help you?",
        "turn": 0,
        "at": "2026-01-31T12:00:04.000Z",
        "sequence": 3,
    },
    {
        "role": "user",
        "text": "I need an appointment on Tuesday.",
        "turn": 1,
        "at": "2026-01-31T12:00:07.000Z",
        "sequence": 4,
    },
]
_RECORD: Final[dict[str, Any]] = {
    **_CALL,
    "structured_data": {"day": "Tuesday"},
    "transcript": _TRANSCRIPT,
    "events": [EVENT],
    "last_sequence": 13,
}
_DELIVERY: Final[dict[str, Any]] = {
    "id": "dlv_01jd0000000000000000000000",
    "organization_id": "org_01jd0000000000000000000000",
    "event_id": EVENT["id"],
    "event_type": EVENT["type"],
    "subject": EVENT["subject"],
    "assistant_id": "asst_01jd0000000000000000000000",
    "url": "https://example.com/hooks/calls",
    "state": "delivered",
    "attempts": 1,
    "created_at": "2026-01-31T12:00:17.210Z",
    "log": [{"number": 1, "at": "2026-01-31T12:00:17.215Z", "status": 200, "duration_ms": 41.5}],
}
_RESPONSES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    Assistant: _ASSISTANT,
    AssistantPage: {"items": [_ASSISTANT]},
    CallEventPage: {"items": [EVENT], "next_after": 12, "last_sequence": 13},
    CallPage: {"items": [_CALL]},
    CallRecord: _RECORD,
    Delivery: _DELIVERY,
    DeliveryPage: {"items": [_DELIVERY]},
    TranscriptPage: {"items": _TRANSCRIPT},
}


def request_example(operation_id: str, body: type[BaseModel]) -> dict[str, Any]:
    """A body that the operation takes."""
    written = _REQUESTS.get(operation_id)
    return written if written is not None else whole_example(body)


def response_example(response: type[BaseModel]) -> dict[str, Any]:
    """An answer as it may look."""
    written = _RESPONSES.get(response)
    return written if written is not None else whole_example(response)
