"""Telnyx over REST: commands for live calls, each given until it was taken, and taken once.

Source: Telnyx's documentation of Call Control v2 commands, `command_id` and errors.
"""

import asyncio
import base64
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.telephony.base import RESUME, CarrierAccount, CarrierAction, TransferRequest
from calliope_call_worker.providers.wire import broken

NAME: Final = "telnyx"
TRIES: Final = 2  # "resend the identical command"; `command_id` keeps it one
SETTLE_S: Final = 0.25
"""After the end of the media so long a call that is over may still be told to be alive."""
RING_S: Final = 30
_ENDED: Final = "90018"  # the call ended already
_UNKNOWN: Final = "90015"  # no such call; also one of another account
_OVER: Final[dict[str, Any]] = {}
"""In the place of an answer about a call that ended."""
_AGAIN: Final = {Failure.DEADLINE, Failure.DROPPED, Failure.ERROR, Failure.RATE_LIMITED}
_COMMANDS: Final = uuid.UUID("6f1c3b8e-3f0e-4f0b-9a53-0d3c6f2b7a11")


def command(name: str, body: Mapping[str, Any], *key: str) -> CarrierAction:
    """A command whose id is the same for the same key: who repeats it, be it another worker, repeats no effect."""
    return CarrierAction(name, body, str(uuid.uuid5(_COMMANDS, "\x1f".join((name, *key)))))


def state(**values: str) -> str:
    """A `client_state`: comes back with later hooks of the leg, signed by Telnyx like all of them."""
    return base64.b64encode(orjson.dumps(values)).decode()


def transfer_command(wanted: TransferRequest) -> CarrierAction:
    """A new leg is dialled; hooks of that leg name the caller's, and the call of `after_url`, as its state."""
    told = state(call_id=_call_id(wanted.after_url), transfer_of=wanted.carrier_call_id)
    body: dict[str, Any] = {"to": wanted.to_number, "timeout_secs": RING_S, "target_leg_client_state": told}
    if wanted.caller_id:
        body["from"] = wanted.caller_id
    return command("transfer", body, wanted.key)


def settles_in_s(media_ended_at: datetime, now: datetime) -> float:
    """What is left of `SETTLE_S`; all of it by a clock that is ahead of ours."""
    return min(SETTLE_S, max(0.0, SETTLE_S - (now - media_ended_at).total_seconds()))


class TelnyxApi:
    """REST of one installation; accounts differ per call."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, deadline_s: float = 2.5) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=deadline_s)

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """Closing the media is not enough: the leg would stay up in silence."""
        await self.perform(account, carrier_call_id, command("hangup", {}))

    async def transfer(self, account: CarrierAccount, wanted: TransferRequest) -> None:
        """See `transfer_command`."""
        await self.perform(account, wanted.carrier_call_id, transfer_command(wanted))

    async def ask_again(self, account: CarrierAccount, carrier_call_id: str, *, after_url: str, key: str) -> None:
        """The stream ends, and `streaming.stopped` tells so where all hooks of the leg go."""
        await self.perform(account, carrier_call_id, command("streaming_stop", {}, key))

    async def perform(self, account: CarrierAccount, carrier_call_id: str, action: CarrierAction) -> bool:
        """See `CarrierCommands`."""
        path = f"{_call(carrier_call_id)}/actions/{action.name}"
        answer = await self._tried(account, "POST", path, {**action.body, "command_id": action.command_id})
        return answer is not _OVER

    async def still_up(self, account: CarrierAccount, carrier_call_id: str, media_ended_at: datetime | None) -> bool:
        """See `CarrierCommands`."""
        now = datetime.now(UTC)
        await asyncio.sleep(settles_in_s(media_ended_at or now, now))
        answer = await self._tried(account, "GET", _call(carrier_call_id), None)
        data = answer.get("data")
        return isinstance(data, dict) and data.get("is_alive") is True

    async def _tried(
        self, account: CarrierAccount, method: str, path: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._ask(account, method, path, body)
            except ProviderError as exc:
                if not tries_left or exc.failure not in _AGAIN:
                    raise
        raise AssertionError("unreachable")

    async def _ask(
        self, account: CarrierAccount, method: str, path: str, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {account.secret}"}
        try:
            async with self._session.request(
                method, self._base_url + path, json=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                answer = _json_object(await response.content.read(65_536))
        except TimeoutError as exc:
            raise ProviderError(NAME, Failure.DEADLINE, "REST call took too long") from exc
        except aiohttp.ClientError as exc:
            raise ProviderError(NAME, Failure.DROPPED, f"REST call failed: {broken(exc)}") from exc
        if response.status < 300:
            return answer
        errors = [error for error in answer.get("errors") or () if isinstance(error, dict)]
        codes = {str(error.get("code")) for error in errors}
        if _ENDED in codes:
            return _OVER
        if response.status == 404 or _UNKNOWN in codes:
            return {}
        detail = ", ".join(f"{error.get('code')} {error.get('title', '')}" for error in errors)
        raise ProviderError(NAME, failure_of_status(response.status), f"{response.status} {detail}".strip())


def _call_id(after_url: str) -> str:
    return after_url.rpartition(RESUME)[2].partition("?")[0]


def _call(carrier_call_id: str) -> str:
    return f"/calls/{quote(carrier_call_id, safe='')}"


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
