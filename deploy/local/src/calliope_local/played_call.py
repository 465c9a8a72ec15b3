"""Plays one scenario on a running local stack, over the HTTP of gateway and sandbox; prints and judges nothing."""

import base64
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from calliope_local.checks import webhook_problems
from calliope_local.http import lines, quoted, request
from calliope_local.scenario import Scenario
from calliope_local.stack import LocalStack

Json = dict[str, Any]

CALLER: Final = "+15550001111"
SETTLE_S: Final = 15.0
"""How long after a call its record and its webhooks may take."""
POLL_S: Final = 0.1
LISTED: Final = 20_000


@dataclass(frozen=True, slots=True)
class PlayedCall:
    """One call of `scenario` to `number`. Several may be played on one stack, each with a number of its own.

    Use the methods in their order. Raises: HttpError, from every method, with what the server said.
    """

    stack: LocalStack
    scenario: Scenario
    number: str

    @property
    def hook(self) -> str:
        """Name of the receiver of this call's webhooks; also what its other receivers and its model are told by."""
        return f"demo-{self.number.removeprefix('+')}"

    def register(self) -> str:
        """Make receivers and model known to the sandbox, before anything can be sent to them; the webhook secret."""
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._sandbox("PUT", f"/sandbox/hooks/{self.hook}", {"secrets": [secret]})
        for name, programme in self.scenario.hooks.items():
            self._sandbox("PUT", f"/sandbox/hooks/{self._own_hook(name)}", programme)
        if self.scenario.model is not None:
            own = {"name": self.hook, "key": self._model_key(self.scenario.assistant)}
            self._sandbox("POST", "/sandbox/llm/scripts", own | self.scenario.model)
        return secret

    def create(self, secret: str) -> Json:
        """Create the assistant with the sandbox's carrier account and this call's receivers; as the API answers."""
        document = self._with_own_hooks(self.scenario.assistant)
        if self.scenario.model is not None and (key := self._model_key(document)) is not None:
            document["llm_provider_config"] = {**document["llm_provider_config"], "api_key": key}
        document |= self._webhook(secret) | {"twilio_config": self._account()}
        made: Json = self._api("POST", "/api/v1/assistants", document)
        return made

    def assign(self, assistant_id: str) -> None:
        """Let the assistant answer the number, and the sandbox's Twilio ring the gateway for it."""
        answers = {"assistant_id": assistant_id, "carrier": "twilio"}
        self._api("PUT", f"/api/v1/phone-numbers/{quoted(self.number)}", answers)
        owner = self._account() | {"voice_url": f"{self.stack.address('gateway')}/telephony/twilio/voice"}
        self._sandbox("PUT", f"/sandbox/twilio/numbers/{quoted(self.number)}", owner)

    def place(self) -> str:
        """Ring; the carrier's id of the call."""
        call = {"from": CALLER, "to": self.number, "script": self.scenario.caller}
        return str(self._sandbox("POST", "/sandbox/twilio/calls", call)["sid"])

    def live(self, sid: str) -> Iterator[Json]:
        """The talk as it is heard, until the call ends."""
        url = f"{self.stack.address('sandbox')}/sandbox/twilio/calls/{sid}/live"
        return lines(url, timeout_s=self.scenario.longest_s)

    def seen(self, sid: str) -> Json:
        """Everything that the caller saw, once the call is over."""
        wait_s = self.scenario.longest_s
        call: Json = self._sandbox("GET", f"/sandbox/twilio/calls/{sid}?wait_s={wait_s:g}", timeout_s=wait_s + 5)
        return call

    def record(self, assistant_id: str, sid: str) -> Json | None:
        """The call's record, once it is complete; as it is after `SETTLE_S`, None when there is none then."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            page = self._api("GET", f"/api/v1/calls?assistant_id={assistant_id}")
            found = [item["id"] for item in page["items"] if item["carrier_call_id"] == sid]
            record: Json | None = self._api("GET", f"/api/v1/calls/{found[0]}") if found else None
            if (record is not None and self._is_complete(record)) or time.monotonic() > deadline:
                return record
            time.sleep(POLL_S)

    def webhook_problems(self, record: Json) -> dict[str, str]:
        """Why events of the call were not verified by their receiver, by event id, after at most `SETTLE_S`."""
        events, deadline = record["events"], time.monotonic() + SETTLE_S
        url, wanted = f"/sandbox/hooks/{self.hook}?limit={LISTED}", len(events)
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            listing = self._sandbox("GET", f"{url}&wait_for={wanted}&timeout_s={left_s:.2f}", timeout_s=left_s + 5)
            if not (problems := webhook_problems(events, listing["attempts"])):
                return {}
            if time.monotonic() > deadline:
                break
            wanted = listing["count"] + 1
        found = self._api("GET", f"/api/v1/webhook-deliveries?limit=200&subject={quoted('call/' + record['id'])}")
        problems = webhook_problems(events, listing["attempts"], found["items"])
        return dict(problems)

    def remove(self, assistant_id: str) -> None:
        """Release the number and delete the assistant."""
        self._api("DELETE", f"/api/v1/phone-numbers/{quoted(self.number)}")
        self._api("DELETE", f"/api/v1/assistants/{assistant_id}")

    def _is_complete(self, record: Json) -> bool:
        names = [event["type"].split(".")[2] for event in record["events"]]
        sequences = [event["sequence"] for event in record["events"]]
        told = record["status"] == "ended" and sequences == list(range(1, len(sequences) + 1))
        return told and (not self.scenario.analyzed or "analyzed" in names)

    def _model_key(self, document: Json) -> str | None:
        """A key of this call alone, so that its scripted model answers nobody else; None when the document has none."""
        config = document.get("llm_provider_config")
        given = config.get("api_key") if isinstance(config, dict) else None
        return f"{given}-{self.hook}" if isinstance(given, str) and given else None

    def _own_hook(self, name: str) -> str:
        return f"{self.hook}-{name}"

    def _with_own_hooks(self, document: Any) -> Any:
        """The document with its receivers at the sandbox under names of this call alone."""
        if isinstance(document, dict):
            return {key: self._with_own_hooks(value) for key, value in document.items()}
        if isinstance(document, list):
            return [self._with_own_hooks(value) for value in document]
        if not isinstance(document, str) or "/hooks/" not in document:
            return document
        for name in self.scenario.hooks:
            document = re.sub(f"/hooks/{re.escape(name)}(?![\\w-])", f"/hooks/{self._own_hook(name)}", document)
        return document

    def _webhook(self, secret: str) -> dict[str, str]:
        """Where the events go, and what they are signed with."""
        return {"webhook_url": f"{self.stack.address('sandbox')}/hooks/{self.hook}", "webhook_secret": secret}

    def _account(self) -> dict[str, str]:
        keys = self.stack.keys
        return {"account_sid": keys.twilio_account_sid, "auth_token": keys.twilio_auth_token}

    def _api(self, method: str, path: str, body: object = None) -> Any:
        return request(method, self.stack.address("gateway") + path, body, key=self.stack.keys.api_key)

    def _sandbox(self, method: str, path: str, body: object = None, *, timeout_s: float = 15.0) -> Any:
        return request(method, self.stack.address("sandbox") + path, body, timeout_s=timeout_s)
