"""Behind a proxy one stranger's wrong keys must not use up what other clients may ask."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from calliope import api_keys
from calliope.client_address import client_address, network_of
from calliope_gateway.http.server import build_http
from calliope_gateway.settings import GatewaySettings, LimitSettings
from support.http_surface import LIMITS, FakeBus
from support.sealing import PUBLIC_KEYS

TRUSTED = LimitSettings().trusted_proxies


@pytest.mark.parametrize(
    ("remote", "forwarded_for", "client"),
    [
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "10.0.0.1, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.1, 127.0.0.2", "192.0.2.1"),
        ("127.0.0.1", "192.0.2.7, 192.0.2.1, ::1", "192.0.2.1"),
        ("::ffff:127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("192.0.2.9", "192.0.2.1", "192.0.2.9"),
        (None, "192.0.2.1", ""),
    ],
)
def test_only_a_trusted_proxy_says_whose_request_it_is(
    remote: str | None, forwarded_for: str | None, client: str
) -> None:
    assert client_address(remote, forwarded_for, TRUSTED) == client


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_all_addresses_of_one_client_count_as_one(address: str, counted: str) -> None:
    assert network_of(address) == counted


async def test_one_strangers_wrong_keys_do_not_use_up_what_others_may_ask_through_the_same_proxy() -> None:
    limits = LIMITS.model_copy(update={"unknown_keys_per_s": 0.001, "unknown_keys_burst": 2})
    app = build_http(GatewaySettings(limits=limits, sealing=PUBLIC_KEYS), FakeBus())
    async with TestClient(TestServer(app)) as client:

        async def ask(key: str, address: str) -> int:
            headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
            async with client.get("/api/v1/assistants/asst_1", headers=headers) as answer:
                return answer.status

        strangers = [await ask(api_keys.generate(), "192.0.2.1") for _ in range(3)]
        other = await ask(api_keys.generate(), "192.0.2.2")

    assert strangers == [401, 401, 429]
    assert other == 401
