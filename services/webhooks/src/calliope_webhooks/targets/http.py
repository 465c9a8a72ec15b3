"""An HTTP receiver: one guarded POST; no redirects, bounded in time and size."""

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from calliope.bodies import Body, BodyError, BodyReader, text_of
from calliope.egress import check_url, is_blocked
from calliope.settings import EgressSettings
from calliope_webhooks.model import BLOCKED, INVALID_URL, TIMEOUT, Answer

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
        try:
            body = await self._start_of(response)
            shown = _shown(body, response)
        except BodyError as exc:
            shown = f"(the answer {exc})"
        if not response.content.at_eof():
            response.close()
        return Answer(
            status=response.status,
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC)),
            response=shown or None,
        )

    async def _start_of(self, response: aiohttp.ClientResponse) -> Body:
        """What is shown of a body; it is read further, within bounds, so that its connection can be used again."""
        reader = BodyReader(response, self._session)
        start, size, ended = bytearray(), 0, False
        try:
            async with asyncio.timeout(self._total_s / 3):
                while size < READ_AT_MOST_BYTES and not ended:
                    piece = await reader.piece()
                    start += piece[: SHOWN_BYTES - len(start)]
                    size, ended = size + len(piece), not piece
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        return Body(bytes(start), size, counted=ended)


def _shown(body: Body, response: aiohttp.ClientResponse) -> str:
    """Raises: BodyError."""
    text = text_of(body, response.content_type if "Content-Type" in response.headers else "", response.charset)
    if not body.cut:
        return text
    least = "" if body.counted else "at least "
    return f"{text} … ({least}{body.size - len(body.data)} bytes more)"


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
    if isinstance(
        exc, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | UnicodeError
    ):  # a name that cannot be encoded
        return INVALID_URL
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "connection_refused"
    if isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "connection_lost"
    return "malformed_answer" if isinstance(exc, aiohttp.ClientResponseError | ValueError) else "connection_lost"
