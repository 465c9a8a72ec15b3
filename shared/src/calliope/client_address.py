"""Whose address a request comes from: that of the connection, or what a trusted proxy says in front of us. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

IPV6_CLIENT_BITS: Final = 64
"""The smallest network that an IPv6 client gets: all of its addresses are one client's."""

Networks = Iterable[IPv4Network | IPv6Network]


def client_address(remote: str | None, forwarded_for: str | None, trusted: Networks) -> str:
    """The connection's own address, unless it is a trusted proxy's: then the last in `X-Forwarded-For` that is none.

    What stands left of that one is the client's own word, and means nothing.
    """
    trusted = tuple(trusted)
    found = remote or ""
    if forwarded_for is None:
        return found
    for named in reversed(forwarded_for.split(",")):
        if not is_in(found, trusted):
            return found
        try:
            found = str(ip_address(named.strip()))
        except ValueError:
            return found
    return found


def network_of(address: str) -> str:
    """What to count a client by: its IPv4 address, or the network of its IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> IPV6_CLIENT_BITS << IPV6_CLIENT_BITS, IPV6_CLIENT_BITS)))


def is_in(address: str, networks: Networks) -> bool:
    """Whether an address belongs to one of the networks; what is no address does not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
