"""TLS of servers with a private authority: trusted when the installation names it, and only then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from calliope import egress
from calliope.contracts.document.llm import LlmProvider, LlmProviderConfig
from calliope.settings import EgressSettings
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import CallFacts, Finished, LlmRequest, UserMessage
from calliope_call_worker.providers.registry import open_providers
from calliope_call_worker.providers.settings import OpenAiSettings, ProvidersSettings
from calliope_sandbox.app import create_app
from calliope_sandbox.tls import server_context

LOOPBACK = ip_network("127.0.0.0/8")
REQUEST = LlmRequest("Be brief.", (UserMessage("Are you there?"),))


@asynccontextmanager
async def sandbox_over_tls(ca_file: Path) -> AsyncIterator[str]:
    runner = web.AppRunner(create_app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(ca_file)).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("is_custom", [False, True], ids=["vendor", "custom"])
async def test_a_model_behind_a_private_authority_answers_when_that_is_trusted(tmp_path: Path, is_custom: bool) -> None:
    ca_file = tmp_path / "ca.pem"
    async with asyncio.timeout(20), sandbox_over_tls(ca_file) as url:
        settings = ProvidersSettings(openai=OpenAiSettings(url=f"{url}/openai/v1", api_key=SecretStr("k")))
        own = {"base_url": f"{url}/openai/v1", "model": "gpt-4o"} if is_custom else {}
        wanted = LlmProviderConfig(api_key=SecretStr("k"), **own)
        provider = LlmProvider.CUSTOM if is_custom else LlmProvider.OPENAI

        async def ends_with(guard: EgressSettings) -> object:
            async with open_providers(settings, guard) as providers:
                model = providers.link(provider, wanted, CallFacts()).model
                async with model.stream(REQUEST) as events:
                    return [event async for event in events][-1]

        assert isinstance(await ends_with(EgressSettings(allow=(LOOPBACK,), ca_file=ca_file)), Finished)
        with pytest.raises(ProviderError, match="the TLS certificate of the server is not valid") as refused:
            await ends_with(EgressSettings(allow=(LOOPBACK,)))
        assert refused.value.failure is Failure.DROPPED


async def test_tools_and_webhooks_trust_the_same_authority(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    async with asyncio.timeout(20), sandbox_over_tls(ca_file) as url:
        trusting = EgressSettings(allow=(LOOPBACK,), ca_file=ca_file)
        async with egress.session(trusting, total_s=5) as session, session.get(f"{url}/livez") as answer:
            assert answer.status == 200
        async with egress.session(EgressSettings(allow=(LOOPBACK,)), total_s=5) as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{url}/livez")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_refused_in_words(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValidationError, match=r"ca\.pem cannot be read as a file of certificates in PEM"):
        EgressSettings(ca_file=file)
