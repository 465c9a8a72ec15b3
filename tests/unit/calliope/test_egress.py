"""The way out: which URLs a developer may give, and which addresses are reached."""

from ipaddress import ip_network

import aiohttp
import pytest

from calliope.egress import allowed, check_url, is_blocked, session
from calliope.settings import EgressSettings

OPEN = EgressSettings(allow=(ip_network("127.0.0.0/8"),), allow_http=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
        "168.63.129.16", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::",
        "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
        "2001::1", "5f00::1", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_a_public_address_passes(address: str) -> None:
    assert allowed(address)


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
