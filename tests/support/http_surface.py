"""The gateway's HTTP surface over a bus that is a dictionary."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel

from calliope import api_keys
from calliope.contracts.assistants import Assistant
from calliope.contracts.errors import ErrorCode
from calliope.contracts.identity import Principal, Scope
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.http.server import build_http
from calliope_gateway.settings import GatewaySettings, LimitSettings
from support.sealing import PUBLIC_KEYS

Client = TestClient[web.Request, web.Application]
KEY = api_keys.generate()
READER = api_keys.generate()
AUTH = {"Authorization": f"Bearer {KEY}"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASSISTANT = Assistant(
    id="asst_1", organization_id="org_1", revision=7, created_at=NOW, updated_at=NOW, document={"name": "Anna"}
)
LIMITS = LimitSettings(body_bytes=2_000, carrier_body_bytes=1_000, body_timeout_s=0.2, requests_per_s=1, burst=8)


Question = tuple[str, Any, str | None, str | None]
"""Subject, payload, organization, idempotency key."""


@dataclass
class FakeBus:
    """Answers commands from a table; keeps what was asked. What is not in the table is away."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    scopes: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {api_keys.digest(KEY): tuple(Scope), api_keys.digest(READER): (Scope.READ,)}
    )
    revoked: set[str] = field(default_factory=set)
    expires_at: datetime | None = None

    async def call(
        self,
        subject: str,
        payload: Any,
        *,
        reply_type: type[BaseModel],
        organization: str | None = None,
        command_id: str | None = None,
        timeout_s: float = 5.0,
    ) -> Any:
        """As `CommandClient.call`."""
        self.asked.append((str(subject), payload, organization, command_id))
        if subject == Command.IDENTITY_AUTHENTICATE and subject not in self.answers:
            return self._authenticate(payload.key_sha256)
        answer = self.answers.get(subject, CommandError(ErrorCode.UNAVAILABLE, "nobody answers this at the moment"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _authenticate(self, digest: str) -> Principal:
        if digest not in self.scopes or digest in self.revoked:
            raise CommandError(ErrorCode.UNAUTHORIZED, "this key is unknown or revoked")
        return Principal(
            organization_id="org_1",
            key_id=key_id(digest),
            name="CI",
            scopes=self.scopes[digest],
            expires_at=self.expires_at,
        )

    def holds(self, *scopes: str) -> dict[str, str]:
        """Headers with a new key that has these scopes."""
        key = api_keys.generate()
        self.scopes[api_keys.digest(key)] = scopes
        return {"Authorization": f"Bearer {key}"}

    def asked_whose(self) -> int:
        """How often it was asked whose a key is."""
        return sum(subject == Command.IDENTITY_AUTHENTICATE for subject, *_ in self.asked)

    def last(self, subject: str) -> Question:
        """The last time that this was asked."""
        return [question for question in self.asked if question[0] == subject][-1]

    def work(self) -> list[str]:
        """What was asked besides whose key it is."""
        return [subject for subject, *_ in self.asked if subject != Command.IDENTITY_AUTHENTICATE]


def key_id(digest: str) -> str:
    """The id of the key with this hash."""
    return digest[:8]


@asynccontextmanager
async def gateway(
    bus: FakeBus, *, key_cache_s: float = 60.0, carrier_timeout_s: float = 0.2, **settings: Any
) -> AsyncIterator[Client]:
    """A client of a gateway with small limits, and of small patience when there is no worker."""
    limits = settings.pop("limits", LIMITS)
    chosen = GatewaySettings(
        limits=limits, sealing=PUBLIC_KEYS, key_cache_s=key_cache_s, carrier_timeout_s=carrier_timeout_s, **settings
    )
    async with TestClient(TestServer(build_http(chosen, bus))) as client:
        yield client
