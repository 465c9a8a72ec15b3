"""The local stack in end-to-end tests, driven as users drive it: HTTP to the gateway, callers from the sandbox."""

import asyncio
import base64
import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from calliope_local.stack import LocalStack

Json = dict[str, Any]
CALLER: Final = "+15550001111"
GREETING: Final = "Hello, this is Anna."
WEBHOOK_SECRET: Final = "whsec_" + base64.b64encode(b"known before the first delivery.").decode()
_NUMBERS: Final = itertools.count(os.getpid() % 10_000 * 100_000)


def a_document(**changes: Any) -> Json:
    """A document that answers calls; keys of `changes` replace whole settings objects."""
    return {
        "name": f"assistant {next(_NUMBERS)}",
        "llm_provider_config": {"api_key": "sandbox-openai", "model": "gpt-4o-mini"},
        "llm_settings": {"system_prompt": "You are Anna.", "welcome_message": GREETING},
        "interruption_settings": {"interruption_threshold": 3, "min_speaking_time": 0.5, "interruption_cooldown": 1.0},
        "tools_settings": {"end_call": {"enabled": True, "scenarios": ["the caller says goodbye"]}},
        **changes,
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class PhoneLine:
    """A number at a carrier of the sandbox that an assistant answers, and the receiver of its events."""

    number: str
    assistant: Json
    hook: str
    carrier: str = "twilio"


@dataclass(slots=True)
class House:
    """A client of one running stack. `place` rings; `finished` waits for a call's end as the caller and as the API."""

    stack: LocalStack
    http: aiohttp.ClientSession
    _lines: list[PhoneLine] = field(default_factory=list)
    _carriers: dict[str, str] = field(default_factory=dict)

    async def api(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """Ask the gateway, with the installation's key unless another is given."""
        sent = {"Authorization": f"Bearer {key or self.stack.keys.api_key}"} | headers
        url = self.stack.address("gateway") + path
        async with self.http.request(method, url, json=body, headers=sent) as answer:
            return Answer(answer.status, answer.headers, await answer.json(content_type=None))

    async def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the sandbox; anything but success is an error of the test."""
        async with self.http.request(method, self.stack.address("sandbox") + path, json=body) as answer:
            assert answer.status < 300, f"{method} {path}: {answer.status} {await answer.text()}"
            return await answer.json(content_type=None)

    async def phone_line(self, document: Json | None = None, carrier: str = "twilio") -> PhoneLine:
        """An assistant with a number and a receiver of its webhooks."""
        number, hook = f"+1555{next(_NUMBERS) % 10_000_000:07d}", f"hook-{next(_NUMBERS)}"
        account = {f"{carrier}_config": self.account(carrier)}
        webhook = {"webhook_url": f"{self.stack.address('sandbox')}/hooks/{hook}", "webhook_secret": WEBHOOK_SECRET}
        await self.sandbox("PUT", f"/sandbox/hooks/{hook}", {"secrets": [WEBHOOK_SECRET]})
        made = await self.api("POST", "/api/v1/assistants", account | webhook | (document or a_document()))
        assert made.status == 201, made.body
        spec = {"assistant_id": made.body["id"], "carrier": carrier}
        assigned = await self.api("PUT", f"/api/v1/phone-numbers/{quote(number)}", spec)
        assert assigned.status in {200, 201}, assigned.body
        line = PhoneLine(number, made.body, hook, carrier)
        await self.own_number(line)
        self._lines.append(line)
        return line

    def account(self, carrier: str) -> dict[str, str]:
        """As a document names it."""
        keys = self.stack.keys
        if carrier == "twilio":
            return {"account_sid": keys.twilio_account_sid, "auth_token": keys.twilio_auth_token}
        return {
            "api_key": keys.telnyx_api_key,
            "connection_id": keys.telnyx_connection_id,
            "public_key": keys.telnyx_public_key,
        }

    async def own_number(self, line: PhoneLine, **changes: Any) -> None:
        """The sandbox's carrier rings the gateway for this number."""
        hooks = f"{self.stack.address('gateway')}/telephony/{line.carrier}/voice"
        owner = self.account(line.carrier) | {
            "voice_url": hooks,
            "webhook_url": hooks,
            "signing_key": self.stack.keys.telnyx_signing_key,
        }
        await self.sandbox("PUT", f"/sandbox/{line.carrier}/numbers/{quote(line.number)}", owner | changes)

    async def place(self, line: PhoneLine, script: Sequence[Json], **options: Any) -> str:
        """Ring; the carrier's id of the call."""
        call = {"from": CALLER, "to": line.number, "script": list(script), **options}
        sid = str((await self.sandbox("POST", f"/sandbox/{line.carrier}/calls", call))["sid"])
        self._carriers[sid] = line.carrier
        return sid

    def seen_at(self, sid: str) -> str:
        """Where the sandbox tells what was seen of a call."""
        return f"/sandbox/{self._carriers.get(sid, 'twilio')}/calls/{sid}"

    async def heard(self, sid: str, *, within_s: float = 60.0) -> Json:
        """What the caller saw of the call, once it is over."""
        call: Json = await self.sandbox("GET", f"{self.seen_at(sid)}?wait_s={within_s:g}")
        return call

    async def answered(self, sid: str, *, streams: int = 1, within_s: float = 40.0) -> None:
        """Until the call's media flows, the so-many-th stream of it."""
        deadline = time.monotonic() + within_s
        while (await self.sandbox("GET", self.seen_at(sid)))["streams"] < streams:
            assert time.monotonic() < deadline, f"fewer than {streams} media streams of {sid}"
            await asyncio.sleep(0.05)

    async def add_steps(self, sid: str, script: Sequence[Json]) -> None:
        """More for the caller to do."""
        await self.sandbox("POST", f"{self.seen_at(sid)}/steps", {"script": list(script)})

    async def commanded(self, sid: str, command: str, *, within_s: float = 40.0) -> None:
        """Until the carrier took this command of the product."""
        deadline = time.monotonic() + within_s
        while command not in (await self.sandbox("GET", self.seen_at(sid)))["commands"]:
            assert time.monotonic() < deadline, f"no {command} of {sid}"
            await asyncio.sleep(0.05)

    async def record(self, line: PhoneLine, sid: str, *, within_s: float = 40.0) -> Json:
        """The call record, once it has ended and what keeps it is there."""
        deadline = time.monotonic() + within_s
        while True:
            page = await self.api("GET", f"/api/v1/calls?limit=200&assistant_id={line.assistant['id']}")
            found = [item for item in page.body.get("items", ()) if item["carrier_call_id"] == sid]
            if found and found[0]["status"] == "ended":
                answer = await self.api("GET", f"/api/v1/calls/{found[0]['id']}")
                if answer.status == 200:
                    record: Json = answer.body
                    if record["event_count"] == found[0]["event_count"]:  # nothing happened between the two answers
                        assert {name: record[name] for name in found[0]} == found[0], "the list contradicts the record"
                    return record
            assert time.monotonic() < deadline, f"the record of {sid} did not reach its end: {found}"
            await asyncio.sleep(0.05)

    async def open_record(self, line: PhoneLine, sid: str) -> Json:
        """The call record as it is now; without events, when there is none yet."""
        page = await self.api("GET", f"/api/v1/calls?limit=200&assistant_id={line.assistant['id']}")
        found = [item for item in page.body["items"] if item["carrier_call_id"] == sid]
        if not found:
            return {"events": []}
        record: Json = (await self.api("GET", f"/api/v1/calls/{found[0]['id']}")).body
        return record

    async def finished(self, line: PhoneLine, sid: str, *, within_s: float = 60.0) -> tuple[Json, Json]:
        """The call as its caller saw it, and as the API tells it."""
        call = await self.heard(sid, within_s=within_s)
        return call, await self.record(line, sid)

    async def call(self, line: PhoneLine, script: Sequence[Json], **options: Any) -> tuple[Json, Json]:
        """Place a call and wait for its end."""
        return await self.finished(line, await self.place(line, script, **options))

    async def delivered(self, line: PhoneLine, record: Json, *, within_s: float = 15.0) -> Json:
        """What the receiver of the line's webhooks got, once it has verified every event of the record."""
        return await self.delivered_ids(line, {event["id"] for event in record["events"]}, within_s=within_s)

    async def delivered_ids(self, line: PhoneLine, ids: set[str], *, within_s: float = 15.0) -> Json:
        """As `delivered`, for events by id; other events of the assistant may have come before, between or after."""
        deadline, wanted = time.monotonic() + within_s, len(ids)
        while True:
            query = f"?limit=20000&wait_for={wanted}&timeout_s={max(0.0, deadline - time.monotonic()):.2f}"
            listing: Json = await self.sandbox("GET", f"/sandbox/hooks/{line.hook}{query}")
            missing = ids - {attempt["webhook_id"] for attempt in listing["attempts"] if attempt["verified"]}
            if not missing:
                return listing
            assert time.monotonic() < deadline, f"not verified within {within_s:g} s: {missing}"
            wanted = listing["count"] + 1


@asynccontextmanager
async def visiting(stack: LocalStack, *, patience_s: float = 120.0) -> AsyncIterator[House]:
    """A client of this stack, which waits so long for an answer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=patience_s)) as http:
        yield House(stack, http)


def names(record: Json) -> list[str]:
    """The call's events, by name."""
    return [event["type"].split(".")[2] for event in record["events"]]


def facts(record: Json, name: str) -> list[Json]:
    """Data of the events of that name."""
    return [event["data"] for event in record["events"] if event["type"].split(".")[2] == name]


def said(record: Json, role: str) -> str:
    """One side of the transcript as one text."""
    return " ".join(line["text"] for line in record["transcript"] if line["role"] == role)


def heard_text(call: Json) -> str:
    """Everything that reached the caller's ear."""
    return " ".join(word["text"] for word in call["heard_words"])
