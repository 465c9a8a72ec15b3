"""What vendors ask for in headers: believed within bounds, and never the end of a call."""

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.wire import MAX_RETRY_AFTER_S, fail, retry_after_s

CONNECTION = ConnectionKey("api.example.com", 443, True, True, None, None, None)


def test_a_vendor_asks_for_patience_in_seconds_in_milliseconds_or_until_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100))

    assert retry_after_s({"retry-after": "7"}) == 7.0
    assert retry_after_s({"retry-after": "7", "retry-after-ms": "250"}) == 0.25
    assert retry_after_s({"retry-after": soon}) == pytest.approx(100, abs=3)


@pytest.mark.parametrize("header", ["inf", "1e300", "Fri, 01 Jan 9999 00:00:00 GMT"])
def test_nobody_is_believed_for_longer_than_a_day(header: str) -> None:
    assert retry_after_s({"retry-after": header}) == MAX_RETRY_AFTER_S


@pytest.mark.parametrize("header", ["", "soon", "nan", "Fri, 01 Jan 99999999999 00:00:00 GMT"])
def test_a_header_that_says_nothing_asks_for_nothing(header: str) -> None:
    assert not retry_after_s({"retry-after": header})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientConnectorDNSError(CONNECTION, OSError(-2, "Name or service not known")), "name of the server"),
        (aiohttp.ClientConnectorError(CONNECTION, ConnectionRefusedError(111, "refused")), "was refused"),
        (aiohttp.ClientConnectorError(CONNECTION, OSError(113, "No route to host")), "no connection could be made"),
        (aiohttp.ClientConnectorCertificateError(CONNECTION, ssl.SSLCertVerificationError()), "certificate"),
        (aiohttp.ClientConnectorSSLError(CONNECTION, ssl.SSLError(1, "wrong version")), "no TLS connection"),
        (aiohttp.ServerDisconnectedError(), "broke off"),
        (aiohttp.ClientPayloadError("https://secret"), "broke off"),
        (ConnectionResetError(104, "reset by peer"), "broke off"),
    ],
)
def test_a_connection_that_failed_is_told_in_words_without_class_names(error: Exception, words: str) -> None:
    with pytest.raises(ProviderError, match=words) as told:
        fail("openai", error)
    assert "Error" not in str(told.value)
    assert "secret" not in str(told.value)
