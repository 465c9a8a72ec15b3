"""Telnyx: signed hooks that tell of a call, and the commands that follow them; answers to hooks are not read.

Sources: Telnyx's documentation of Call Control v2 webhooks, their Ed25519 signature, and commands.
Keys are taken from the media socket alone, so a `call.dtmf.received` that repeats one is not counted again.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calliope.contracts.calls import CarrierRequest, CarrierResponse, Direction, EndReason
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierAction,
    CarrierAnswer,
    CarrierLine,
    HookKind,
    MediaAnswer,
    TransferRequest,
    VoiceHook,
)
from calliope_call_worker.providers.telephony.telnyx_api import NAME, command, state, transfer_command
from calliope_call_worker.providers.telephony.telnyx_media import TelnyxMedia

SIGNATURE: Final = "telnyx-signature-ed25519"
TIMESTAMP: Final = "telnyx-timestamp"
TOLERANCE_S: Final = 300
_OK: Final = CarrierResponse(status=200, content_type="application/json", body="{}")
_VOICE: Final = "female"
_LANGUAGE: Final = "en-US"  # of words that a worker before this version had given to the carrier
# PCMU both ways and the mode are said aloud: the defaults are the leg's own codec and MP3.
_STREAM: Final = {
    "stream_track": "inbound_track",
    "stream_codec": "PCMU",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
}
_REJECT: Final = {"busy": "USER_BUSY", "rejected": "CALL_REJECTED"}
# An open set: what is not here is the carrier's failure.
_CAUSES: Final = {
    "normal_clearing": EndReason.CALLER_HUNG_UP,
    "originator_cancel": EndReason.CALLER_HUNG_UP,
    "timeout": EndReason.NO_ANSWER,
    "no_answer": EndReason.NO_ANSWER,
    "user_busy": EndReason.BUSY,
    "call_rejected": EndReason.REJECTED,
}
_KINDS: Final = {
    "call.initiated": HookKind.CALL,
    "call.hangup": HookKind.CALL_ENDED,
    "streaming.stopped": HookKind.MEDIA_ENDED,
    "streaming.failed": HookKind.MEDIA_ENDED,
}


class Telnyx:
    """Telnyx's words; pure."""

    name = NAME
    reads_answers = False

    def read_voice_hook(self, request: CarrierRequest) -> VoiceHook:
        """What an event tells. Raises: ValueError, when it is none, or one that matters lacks a field."""
        if request.method != "POST":
            raise ValueError("Telnyx tells its events by POST")
        event, at, payload = _event(request.body)
        told = _state(payload.get("client_state"))
        then = _then(event, payload, told)
        kind = HookKind.OTHER if then is None else HookKind.FOLLOW_UP
        if then is None:
            kind = _KINDS.get(event, HookKind.OTHER)
        if kind is HookKind.OTHER:
            return VoiceHook("", "", "", "", "", event, kind)
        missing = [name for name in ("call_control_id", "connection_id") if not payload.get(name)]
        if kind is HookKind.CALL and not payload.get("to"):
            missing.append("to")
        if missing:
            raise ValueError(f"{event} has no {', '.join(missing)}")
        return replace(_hook(event, kind, payload, told), at=at, then=then)

    def verify(self, request: CarrierRequest, account: CarrierAccount, public_url: str, now: float) -> bool:
        """Ed25519 over time and raw body, not older nor newer than five minutes. No key: nothing is genuine."""
        headers = {name.lower(): value for name, value in request.headers}
        signature, at = headers.get(SIGNATURE), headers.get(TIMESTAMP, "")
        if account.public_key is None or signature is None or not (at.isascii() and at.isdigit() and len(at) <= 12):
            return False
        if abs(now - int(at)) > TOLERANCE_S:
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(account.public_key, validate=True))
            key.verify(base64.b64decode(signature, validate=True), f"{at}|".encode() + request.body)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def verify_media(self, headers: Mapping[str, str], account: CarrierAccount, media_url: str) -> bool:
        """Telnyx does not sign the upgrade; the token in the address is what opens it."""
        return True

    def answer_with_media(self, answer: MediaAnswer) -> CarrierAnswer:
        """Answer with a stream to us; a call that goes on elsewhere is answered already and gets a new stream."""
        body = {
            "stream_url": f"{answer.media_url}/{answer.token}",
            **_STREAM,
            "client_state": state(call_id=answer.call_id),
        }
        return CarrierAnswer(_OK, command("streaming_start" if answer.resumed else "answer", body, answer.token))

    def answer_with_transfer(self, wanted: TransferRequest) -> CarrierAnswer:
        """The command with the id of before, which Telnyx takes for a repeated one."""
        return CarrierAnswer(_OK, transfer_command(wanted))

    def refuse(self, reason: str) -> CarrierAnswer:
        """Neither answered nor billed."""
        return CarrierAnswer(_OK, command("reject", {"cause": _REJECT.get(reason, "CALL_REJECTED")}))

    def noted(self) -> CarrierAnswer:
        """Nothing."""
        return CarrierAnswer(_OK)

    def leave(self) -> CarrierAnswer:
        """Nothing."""
        return CarrierAnswer(_OK)

    def end(self) -> CarrierAnswer:
        """Hang up."""
        return CarrierAnswer(_OK, command("hangup", {}))

    def say_and_end(self, line: CarrierLine, *, call_id: str, answered: bool) -> CarrierAnswer:
        """Telnyx's own voice, step by step: what follows each step comes back with the hook of its end."""
        if not answered:
            told = state(call_id=call_id, say=line.text, language=line.language)
            return CarrierAnswer(_OK, command("answer", {"client_state": told}))
        return CarrierAnswer(_OK, _speak(line, call_id))

    def codec(self) -> TelnyxMedia:
        """Words of one media socket."""
        return TelnyxMedia()


def _hook(event: str, kind: HookKind, payload: Mapping[str, Any], told: Mapping[str, Any]) -> VoiceHook:
    """The caller's leg and what happened to it; news of a leg that we had dialled for the caller are about his."""
    outgoing = payload.get("direction") == "outgoing"
    caller_leg = told.get("transfer_of")
    if caller_leg is not None:
        kind = HookKind.TRANSFER_ENDED if kind is HookKind.CALL_ENDED else HookKind.OTHER
    elif outgoing and kind is HookKind.CALL:
        kind = HookKind.OTHER
    caller, called = str(payload.get("from") or ""), str(payload.get("to") or "")
    cause = str(payload.get("hangup_cause", ""))
    ended = _CAUSES.get(cause, EndReason.CARRIER_FAILED)
    return VoiceHook(
        carrier_call_id=str(caller_leg or payload["call_control_id"]),
        account_id=str(payload["connection_id"]),
        from_number=caller,
        to_number=called,
        our_number=caller if outgoing else called,
        status=event,
        kind=kind,
        direction=Direction.OUTBOUND if outgoing else Direction.INBOUND,
        call_id=str(told.get("call_id", "")),
        transfer_failed=kind is HookKind.TRANSFER_ENDED and cause != "normal_clearing",
        ended=ended,
        detail="" if ended is EndReason.CALLER_HUNG_UP else f"the carrier ended the call: {cause[:100]}",
    )


def _event(body: bytes) -> tuple[str, datetime, dict[str, Any]]:
    try:
        data = orjson.loads(body)["data"]
        event, payload = str(data["event_type"]), data.get("payload") or {}
        at = datetime.fromisoformat(data["occurred_at"])
        return event, at if at.tzinfo else at.replace(tzinfo=UTC), dict(payload)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError("not an event of Telnyx, API version 2") from exc


def _then(event: str, payload: Mapping[str, Any], told: Mapping[str, Any]) -> CarrierAction | None:
    if event == "call.answered" and "say" in told:
        line = CarrierLine(str(told["say"]), str(told.get("language", _LANGUAGE)))
        return _speak(line, str(told.get("call_id", "")))
    if event == "call.speak.ended" and told.get("then") == "hangup" and payload.get("status") != "call_hangup":
        return command("hangup", {})
    return None


def _speak(line: CarrierLine, call_id: str) -> CarrierAction:
    told = state(call_id=call_id, then="hangup")
    body = {"payload": line.text, "voice": _VOICE, "language": line.language, "client_state": told}
    return command("speak", body, line.text)


def _state(given: object) -> dict[str, Any]:
    """What we had said with `state`; empty for anything else."""
    try:
        told = orjson.loads(base64.b64decode(str(given or ""), validate=True))
    except (binascii.Error, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
