"""Traces of a process reach an OTLP collector, and a collector that is away holds nobody up."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from calliope import api_keys
from support.nats import NatsServer
from support.service_processes import GATEWAY, NOWHERE, Running, running
from support.waiting import until

STOP_S = 6.0
"""The bound for last spans, and what a busy machine needs to end a process."""


class Collector:
    """What an OTLP receiver got."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.spans: list[str] = []
        self.services: set[str] = set()

    async def receive(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        message = ExportTraceServiceRequest.FromString(await request.read())
        for resource in message.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(names["service.name"])
            self.spans += [span.name for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/{path:.*}", collector.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def silent() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def asks(process: Running) -> None:
    """One request, which makes the gateway ask the bus whose key it is: a span."""
    url = f"http://127.0.0.1:{process.event('gateway.serving')['port']}/api/v1/assistants"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {api_keys.generate()}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310 - loopback
    refused.value.close()
    assert refused.value.code == 503


async def test_spans_of_a_service_arrive(nats_server: NatsServer, tmp_path: Path) -> None:
    async with collecting() as (collector, url):
        environment = GATEWAY.environment(nats=nats_server.port, mongo=NOWHERE, CALLIOPE_TRACE__OTLP_ENDPOINT=url)
        with running(GATEWAY, tmp_path, environment) as process:
            await asyncio.to_thread(asks, process)
            ended, _ = await asyncio.to_thread(process.terminate)
        assert ended.status == 0, ended.out
        await until(lambda: collector.spans)
    assert "calliope.cmd.identity.authenticate.v1 call" in collector.spans
    assert collector.services == {"calliope-gateway"}
    assert set(collector.paths) == {"/v1/traces"}


def test_an_absent_collector_delays_neither_start_nor_stop(nats_server: NatsServer, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{NOWHERE}"
    environment = GATEWAY.environment(nats=nats_server.port, mongo=NOWHERE, CALLIOPE_TRACE__OTLP_ENDPOINT=url)
    with running(GATEWAY, tmp_path, environment) as process:
        asks(process)
        ended, took_s = process.terminate()
    assert ended.status == 0, ended.out
    assert took_s < STOP_S


def test_a_silent_collector_delays_neither_start_nor_stop(nats_server: NatsServer, tmp_path: Path) -> None:
    with silent() as url:
        environment = GATEWAY.environment(nats=nats_server.port, mongo=NOWHERE, CALLIOPE_TRACE__OTLP_ENDPOINT=url)
        with running(GATEWAY, tmp_path, environment) as process:
            asks(process)
            ended, took_s = process.terminate()
    assert ended.status == 0, ended.out
    assert took_s < STOP_S
