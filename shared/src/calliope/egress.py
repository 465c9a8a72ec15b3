"""The one way out to URLs that a developer gave: rules for the URL when written, a guard for the address when used.

The address is judged at connect time, so a name that changes its address between check and use gains nothing.
Redirects, proxies of the environment and cookies are off. An egress proxy would see the address instead; then it
decides.
"""

import re
import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from calliope.bodies import ACCEPT_ENCODING
from calliope.settings import EgressSettings

Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that hosts of the internet have (RFC 4291, 2.4); mapped IPv4 is judged as IPv4."""
# Within that, or global by the registry, yet not the public internet (RFC 6890): 6to4, protocol assignments with
# Teredo and ORCHID, documentation, CGNAT, benchmarking, reserved, and Azure's metadata address.
_DENY: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "100.64.0.0/10",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""The last part of a host that clients take for an address in another form: 127.1, 0177.0.0.1, 2130706433, 0x7f.1."""


def allowed(address: str, allow: Sequence[Network] = ()) -> bool:
    """Whether an IP address is public, or in a network that the installation allows."""
    ip = ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if any(ip in network for network in allow if network.version == ip.version):
        return True
    denied = any(ip in network for network in _DENY if network.version == ip.version)
    unicast = ip in _GLOBAL_UNICAST if isinstance(ip, IPv6Address) else not ip.is_multicast
    return ip.is_global and unicast and not denied


def check_url(url: str, settings: EgressSettings) -> str | None:
    """Why a URL is refused, or None. Names are judged when they are used, literal addresses here too."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except ValueError:
        return "is not a web address; write it such as https://example.com/hook"
    if parts.scheme not in ({"https", "http"} if settings.allow_http else {"https"}):
        return "must start with https://, such as https://example.com/hook"
    if not host:
        return "names no host; write it such as https://example.com/hook"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password; write it such as https://example.com/hook"
    if port is not None and port != 443 and port < 1024 and not settings.allow_http:
        return f"port {port} is not allowed; use 443 or one from 1024 up"
    try:
        literal = allowed(host, settings.allow)
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return f"{host} is no address; write four numbers such as 203.0.113.7, or a host name"
        return None
    return None if literal else f"{host} is not a public address"


def tls_context(settings: EgressSettings) -> ssl.SSLContext:
    """Whom TLS trusts: the authorities of the system, and those of the installation's own."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    return context


def connector(
    settings: EgressSettings, *, limit: int = 200, limit_per_host: int = 0, keepalive_s: float = 15.0
) -> aiohttp.TCPConnector:
    """A connector that refuses every address which is not public or allowed, literal ones included."""

    def guard(info: aiohttp.AddrInfoType) -> socket.socket:
        address = info[4][0]
        if not isinstance(address, str) or not allowed(address, settings.allow):
            raise PermissionError(f"blocked address {address}")
        return socket.socket(*info[:3])

    return aiohttp.TCPConnector(
        socket_factory=guard,
        limit=limit,
        limit_per_host=limit_per_host,
        keepalive_timeout=keepalive_s,
        ssl=tls_context(settings),
    )


def session(
    settings: EgressSettings,
    *,
    total_s: float,
    limit: int = 200,
    keepalive_s: float = 15.0,
    trace_configs: Sequence[aiohttp.TraceConfig] = (),
) -> aiohttp.ClientSession:
    """A client for those URLs. Every request must pass `allow_redirects=False` and read with `calliope.bodies`.

    It does not unpack by itself: that has no bound.
    """
    return aiohttp.ClientSession(
        connector=connector(settings, limit=limit, keepalive_s=keepalive_s),
        trace_configs=list(trace_configs),
        timeout=aiohttp.ClientTimeout(total=total_s, connect=min(5.0, total_s)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "Calliope/0.1", "Accept-Encoding": ACCEPT_ENCODING},
    )


def is_blocked(error: BaseException) -> bool:
    """Whether a client error means that the guard refused the address."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PermissionError) and "blocked address" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
