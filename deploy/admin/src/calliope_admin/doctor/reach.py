"""Asks the public addresses as a carrier would: name, connection, certificate, and whether something answers."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from calliope.configuration.checks import is_inside
from calliope.messaging.inspection import Room
from calliope_admin.doctor.findings import About, Finding, well, wrong
from calliope_admin.doctor.streams import room_trouble

ANSWER_S: Final = 5.0
VOICE: Final = "/telephony/twilio/voice"
MEDIA: Final = "/twilio/doctor"
MONITOR: Final = 8222
"""Where NATS has its monitoring by default."""
MONITOR_S: Final = 1.0
_HOOK: Final = "the address of carriers' hooks"
_AUDIO: Final = "the address of carriers' audio"


async def public_url(url: str) -> list[Finding]:
    """Where carriers send their hooks: something of ours has to answer."""
    return [await _reached(_HOOK, url, url.rstrip("/") + VOICE, "gateway")]


async def media_url(url: str) -> list[Finding]:
    """Where carriers connect for audio; asked without an upgrade, which a worker refuses in HTTP."""
    plain = "https" if urlsplit(url).scheme == "wss" else "http"
    return [await _reached(_AUDIO, url, f"{plain}{url[url.find(':') :].rstrip('/')}{MEDIA}", "call-worker")]


def monitors(servers: str) -> list[str]:
    """Where the servers of the bus have their monitoring, if they have it where NATS has it by default."""
    hosts = [urlsplit(each if "://" in each else f"nats://{each}").hostname for each in servers.split(",")]
    return [f"http://[{host}]:{MONITOR}" if ":" in host else f"http://{host}:{MONITOR}" for host in hosts if host]


async def storage(url: str, *, asked_for: bool) -> list[Finding]:
    """How full the storage of one NATS server is; nothing, when nobody asked for it and it has no monitoring."""
    try:
        async with (
            asyncio.timeout(ANSWER_S if asked_for else MONITOR_S),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(f"{url}/jsz", allow_redirects=False) as answer,
        ):
            said = await answer.json(content_type=None)
            room = Room(f"the storage of NATS at {url}", int(said["storage"]), int(said["config"]["max_storage"]))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as exc:
        if not asked_for:
            return []
        why = "its answer is another one" if isinstance(exc, KeyError | TypeError | ValueError) else str(exc)
        words = f"The monitoring of NATS at {url} does not tell its storage ({why or 'no answer in time'})."
        return [
            wrong(About.STREAMS, words, "see that NATS has `http: 8222` in its configuration, and that it is reached")
        ]
    trouble = room_trouble(room) if room.limit > 0 else None
    return [wrong(About.STREAMS, f"{trouble[0]}.", trouble[1])] if trouble else []


async def _reached(what: str, shown: str, url: str, service: str) -> Finding:
    named = f"{shown}, {what},"
    proxy = "see to DNS, the firewall, and what terminates TLS there (deploy/proxy has examples)"
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            status = answer.status
    except aiohttp.ClientConnectorCertificateError as exc:
        words = f"{named} has a certificate that carriers do not accept ({exc.certificate_error})."
        return wrong(About.ADDRESSES, words, "get one of a public authority for that very name, with its whole chain")
    except TimeoutError:
        return wrong(About.ADDRESSES, f"{named} does not answer within {ANSWER_S:g} s.", proxy)
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return wrong(About.ADDRESSES, f"{named} cannot be reached ({str(exc) or type(exc).__name__}).", proxy)
    if status >= 500:
        words = f"{named} answers with {status}: the proxy is there, the {service} behind it is not."
        return wrong(
            About.ADDRESSES, words, f"start the {service}, and compare the proxy's target with its CALLIOPE_HTTP__PORT"
        )
    if 300 <= status < 400:
        return wrong(
            About.ADDRESSES, f"{named} redirects ({status}).", "name the address that answers: carriers do not follow"
        )
    inside = " Nobody outside this network reaches it." if _is_inside(url) else ""
    return well(About.ADDRESSES, f"{named} answers.{inside}")


def _is_inside(url: str) -> bool:
    return is_inside(urlsplit(url).hostname or "")
