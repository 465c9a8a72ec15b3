"""Whose address a request comes from: that of the connection, or what a trusted proxy says in front of us. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address


def client_address(remote: str | None, forwarded_for: str | None, trusted: Iterable[IPv4Network | IPv6Network]) -> str:
    """The connection's own address, unless it is a trusted proxy's: then the last one that the proxy added."""
    connected = remote or ""
    if forwarded_for is None or not _is_in(connected, trusted):
        return connected
    named = forwarded_for.rpartition(",")[2].strip()
    try:
        return str(ip_address(named))
    except ValueError:
        return connected


def _is_in(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
