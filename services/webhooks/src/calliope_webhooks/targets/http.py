"""An HTTP receiver: one guarded POST; no redirects, no decompression, bounded in time and size."""

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from calliope.egress import check_url, is_blocked
from calliope.settings import EgressSettings
from calliope_webhooks.model import BLOCKED, TIMEOUT, Answer

READ_AT_MOST_BYTES: Final = 16 * 1024
SHOWN_BYTES: Final = 1024


class HttpTarget:
    """Posts through a session of `calliope.egress`; whatever happens over there is an `Answer`."""

    def __init__(
        self, session: aiohttp.ClientSession, egress: EgressSettings, *, total_s: float, connect_s: float
    ) -> None:
        self._session = session
        self._egress = egress
        self._total_s = total_s
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=connect_s)

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer:
        """One request."""
        if (refused := check_url(url, self._egress)) is not None:
            return Answer(error=BLOCKED, response=f"url {refused}")
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                return await self._read(response)
        except TimeoutError:
            return Answer(error=TIMEOUT)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return Answer(error=_reason(exc))

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        """The status decides; a body that never ends or breaks off does not take it back."""
        start = b""
        try:
            async with asyncio.timeout(self._total_s / 3):
                while len(start) < READ_AT_MOST_BYTES:
                    chunk = await response.content.read(READ_AT_MOST_BYTES - len(start))
                    if not chunk:
                        break
                    start += chunk
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        if len(start) >= READ_AT_MOST_BYTES or not response.content.at_eof():
            response.close()
        shown = start[:SHOWN_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
        return Answer(
            status=response.status,
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC)),
            response=shown or None,
        )


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds, from seconds or an HTTP date; None when there is no sensible wish."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _reason(exc: Exception) -> str:
    if is_blocked(exc):
        return BLOCKED
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return "tls"
    if isinstance(exc, aiohttp.InvalidURL):
        return "invalid_url"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "connection_refused"
    if isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "connection_lost"
    return "malformed_answer" if isinstance(exc, aiohttp.ClientResponseError | ValueError) else "connection_lost"
