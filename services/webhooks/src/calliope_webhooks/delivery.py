"""One attempt, one outcome: open the secrets, sign the stored bytes, send them, say what came of it."""

import time
from dataclasses import dataclass

import structlog

from calliope.contracts.assistants import secret_context
from calliope.contracts.webhooks import DeliveryAttempt
from calliope.errors import PermanentError
from calliope.secrets import Opener
from calliope_webhooks.model import GONE, NO_SECRET, REMOVED, Answer, Endpoint, Row, moment
from calliope_webhooks.ports import Clock, Target
from calliope_webhooks.signing import signed_headers

_log = structlog.get_logger("calliope.webhooks")


@dataclass(frozen=True, slots=True)
class Sender:
    """Makes attempts. What the receiver does, and secrets that cannot be used, are answers; only bugs are raised."""

    target: Target
    opener: Opener
    clock: Clock

    async def attempt(self, row: Row, endpoint: Endpoint | None) -> tuple[Answer, DeliveryAttempt]:
        """Send the row's bytes to the endpoint as it is now; a retry after a repair goes to the repaired URL."""
        at_ms = self.clock.now_ms()
        started = time.perf_counter()
        answer = await self._send(row, endpoint, at_ms)
        return answer, DeliveryAttempt(
            number=row.attempts,
            at=moment(at_ms),
            status=answer.status,
            error=answer.error,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            response=answer.response,
        )

    async def _send(self, row: Row, endpoint: Endpoint | None, at_ms: int) -> Answer:
        if endpoint is None or endpoint.url is None:
            return Answer(error=REMOVED)
        if endpoint.is_gone and not row.forced:
            return Answer(error=GONE)
        try:
            headers = signed_headers(row.event_id, row.body, self._secrets(endpoint), at_s=at_ms // 1000)
        except ValueError:
            return Answer(error=NO_SECRET)
        return await self.target.post(
            endpoint.url, headers={**headers, "content-type": "application/json"}, body=row.body
        )

    def _secrets(self, endpoint: Endpoint) -> list[str]:
        context = secret_context(endpoint.organization_id, endpoint.assistant_id, ("webhook_secret",))
        opened = []
        for sealed in endpoint.secrets:
            try:
                opened.append(self.opener.open(sealed, context=context))
            except PermanentError as exc:
                _log.error("delivery.secret_unreadable", endpoint_id=endpoint.id, key_id=sealed.key_id, reason=str(exc))
        return opened
