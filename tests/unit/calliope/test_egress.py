"""The way out: which URLs a developer may give, and which addresses are reached."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import aiohttp
import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from calliope.egress import allowed, check_url, is_blocked, session
from calliope.settings import EgressSettings

OPEN = EgressSettings(allow=(ip_network("127.0.0.0/8"),), allow_http=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "168.63.129.16", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::",
        "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
        "2001::1", "5f00::1", "ff02::1", "::7f00:1", "::5db8:d822", "::ffff:0:7f00:1", "::ffff:0:5db8:d822", "fec0::1",
        "64:ff9b:1::1", "100::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_a_public_address_passes(address: str) -> None:
    assert allowed(address)


# What RFC 6890 and the registries after it give to no host of the internet; the start and the end of each.
SPECIAL = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip


@pytest.mark.parametrize("network", SPECIAL)
def test_no_address_of_a_special_network_passes(network: str) -> None:
    of = ip_network(network)
    assert [str(of[at]) for at in (0, 1, -1) if allowed(str(of[at]))] == []


@given(ip_addresses())
def test_what_passes_is_global_unicast(address: IPv4Address | IPv6Address) -> None:
    if allowed(str(address)):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not plain.is_multicast
        assert not plain.is_reserved
        assert plain.version == 4 or plain in ip_network("2000::/3")


@pytest.mark.parametrize("host", ["127.1", "0177.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "127.0.0.1.", "1.2.3"])
def test_a_host_that_only_some_read_as_an_address_is_refused_when_written(host: str) -> None:
    assert "four numbers" in (check_url(f"https://{host}/hook", EgressSettings()) or "")


@pytest.mark.parametrize("host", ["example.com.", "1password.com", "a.b2", "xn--nxasmq6b", "7.example", "4chan.org"])
def test_names_with_figures_are_names(host: str) -> None:
    assert check_url(f"https://{host}/hook", EgressSettings()) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("https://user:pw@example.com/", "user name"),
        ("https://example.com:25/", "port 25"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://[::1", "not a web address"),
        ("https:///path", "no host"),
    ],
)
def test_a_url_is_refused_with_words(url: str, why: str) -> None:
    assert why in (check_url(url, EgressSettings()) or "")


def test_names_and_allowed_networks_pass() -> None:
    assert check_url("https://example.com:8443/hook?x=1", EgressSettings()) is None
    assert check_url("http://127.0.0.1:8090/hooks/demo", OPEN) is None


async def test_a_private_address_is_refused_when_connecting_whatever_its_name() -> None:
    async with session(EgressSettings(), total_s=5) as client:
        for target in ("http://localhost:1/", "http://127.0.0.1:1/", "http://[::1]:1/"):
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await client.get(target, allow_redirects=False)
            assert is_blocked(caught.value)
