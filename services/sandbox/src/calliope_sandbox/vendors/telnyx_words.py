"""Telnyx's words: signatures, events, media messages, errors. Pure.

Sources: Telnyx's documentation of Call Control v2 webhooks and commands, webhook signing, media streaming, errors.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE: Final = "telnyx-signature-ed25519"
TIMESTAMP: Final = "telnyx-timestamp"
CAUSES: Final = {"busy": "user_busy", "no-answer": "timeout", "failed": "unspecified", "canceled": "originator_cancel"}
"""`hangup_cause` by how a dialled number answers."""


def sign(body: bytes, at_s: int, signing_key: str) -> dict[str, str]:
    """Headers of a hook; `signing_key` is base64 of an Ed25519 seed."""
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(signing_key))
    signature = base64.b64encode(key.sign(f"{at_s}|".encode() + body)).decode()
    return {SIGNATURE: signature, TIMESTAMP: str(at_s)}


def event(name: str, event_id: str, occurred_at: str, payload: Mapping[str, Any], url: str, attempt: int) -> bytes:
    """The envelope of a hook, API version 2."""
    data = {
        "record_type": "event",
        "event_type": name,
        "id": event_id,
        "occurred_at": occurred_at,
        "payload": dict(payload),
    }
    return orjson.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": url}})


def connected() -> str:
    """The first message of a stream."""
    return '{"event":"connected","version":"1.0.0"}'


def start(stream_id: str, payload: Mapping[str, Any]) -> str:
    """The second; unlike Twilio's it has the numbers."""
    return _text(
        {
            "event": "start",
            "sequence_number": "1",
            "stream_id": stream_id,
            "start": {
                "user_id": "5a4ab2f3-0000-4000-8000-000000000000",
                "call_control_id": payload["call_control_id"],
                "call_session_id": payload["call_session_id"],
                "from": payload["from"],
                "to": payload["to"],
                "tags": [],
                "client_state": payload["client_state"],
                "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
            },
        }
    )


def media(stream_id: str, sequence: int, chunk: int, timestamp_ms: int, payload: str) -> str:
    """A frame of the caller; numbers are strings."""
    return (
        f'{{"event":"media","sequence_number":"{sequence}","stream_id":"{stream_id}","media":{{"track":"inbound",'
        f'"chunk":"{chunk}","timestamp":"{timestamp_ms}","payload":"{payload}"}}}}'
    )


def mark(stream_id: str, sequence: int, name: str) -> str:
    """Our mark comes back."""
    return _text({"event": "mark", "stream_id": stream_id, "sequence_number": str(sequence), "mark": {"name": name}})


def dtmf(stream_id: str, sequence: int, digit: str, occurred_at: str) -> str:
    """A key."""
    pressed = {"event": "dtmf", "stream_id": stream_id, "occurred_at": occurred_at, "dtmf": {"digit": digit}}
    return _text(pressed | {"sequence_number": str(sequence)})


def stop(stream_id: str, sequence: int, call_control_id: str) -> str:
    """The stream was stopped, or the call ended."""
    ended = {"call_control_id": call_control_id}
    return _text({"event": "stop", "sequence_number": str(sequence), "stream_id": stream_id, "stop": ended})


def application(connection_id: str, webhook_url: str, *, active: bool) -> dict[str, Any]:
    """A Call Control application."""
    return {
        "id": connection_id,
        "record_type": "call_control_application",
        "application_name": "sandbox",
        "active": active,
        "webhook_event_url": webhook_url,
        "webhook_event_failover_url": None,
        "webhook_api_version": "2",
        "webhook_timeout_secs": 25,
        "dtmf_type": "RFC 2833",
        "first_command_timeout": False,
    }


def phone_number(number: str, connection_id: str) -> dict[str, Any]:
    """A phone number and the application that it belongs to."""
    return {
        "id": number.removeprefix("+"),
        "record_type": "phone_number",
        "phone_number": number,
        "status": "active",
        "connection_id": connection_id,
    }


def error(code: int, title: str) -> dict[str, Any]:
    """An error of the REST API; codes are strings."""
    return {"errors": [{"code": str(code), "title": title, "detail": title}]}


def _text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()
