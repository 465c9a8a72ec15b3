"""Logs hide what is private, traces cross borders, health tells the truth, a process ends as it should."""

import asyncio
import json
import os
import signal

import aiohttp
import pytest
import structlog

from calliope.errors import NotReadyError
from calliope.observability import logs, metrics, traces
from calliope.observability.health import Health, serve
from calliope.runtime.process import Stop, run_service
from calliope.settings import HealthSettings, LogSettings, ServiceSettings, TraceSettings


@pytest.fixture(autouse=True)
def restored() -> object:
    yield
    structlog.reset_defaults()


def test_secrets_and_numbers_are_blanked_however_deep() -> None:
    event = {
        "api_key": "sk-1", "to_number": "+15550100", "tokens": 12, "config": {"auth_token": "t", "url": "u"},
        "items": [{"password": "p"}], "secret": None,
    }  # fmt: skip

    assert logs.redact(None, "info", event) == {
        "api_key": logs.REDACTED, "to_number": logs.REDACTED, "tokens": 12,
        "config": {"auth_token": logs.REDACTED, "url": "u"}, "items": [{"password": logs.REDACTED}], "secret": None,
    }  # fmt: skip


def test_a_line_is_one_json_object_with_what_was_bound(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(), service="webhooks")
    with logs.bound(call_id="call_9"):
        structlog.get_logger().info("call.answered", duration_ms=12)

    line = json.loads(capsys.readouterr().out)

    assert line.items() >= {
        "event": "call.answered", "call_id": "call_9", "service": "webhooks", "duration_ms": 12, "level": "info",
    }.items()  # fmt: skip


def test_a_trace_goes_on_in_the_next_process() -> None:
    with traces.exporting(TraceSettings(), service="gateway"):
        with traces.span("first"):
            headers = traces.inject({"a": "b"})
            parent = traces.current_traceparent()
        with traces.span("second", parent=parent):
            after = traces.current_traceparent()

    assert headers["traceparent"] == parent
    assert parent is not None
    assert after is not None
    assert after.split("-")[1] == parent.split("-")[1]
    assert traces.current_traceparent() is None


async def fine() -> None: ...


async def broken() -> None:
    raise RuntimeError("sk-secret")


async def hangs() -> None:
    await asyncio.Event().wait()


async def test_readiness_runs_every_check_within_its_deadline() -> None:
    health = Health({"fine": fine, "broken": broken, "hangs": hangs}, check_timeout_s=0.05)

    assert await health.problems() == {"broken": "RuntimeError", "hangs": "no answer in time"}


async def test_health_is_served() -> None:
    checks = {"fine": fine}
    health = Health(checks)
    async with serve(health, HealthSettings()) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        live, ready, page = await http.get("/livez"), await http.get("/readyz"), await http.get("/metrics")
        text = await page.text()

    assert (live.status, ready.status, page.status) == (200, 200, 200)
    assert "process_cpu_seconds_total" in text


async def test_a_service_that_is_not_ready_says_so_and_still_lives() -> None:
    health = Health({"broken": broken})
    async with serve(health, HealthSettings()) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        live, ready = await http.get("/livez"), await http.get("/readyz")
        body = await ready.text()

    assert (live.status, ready.status) == (200, 503)
    assert "sk-secret" not in body


async def test_what_somebody_has_to_look_at_is_told_by_a_service_that_is_ready() -> None:
    health = Health({"fine": fine}, notices={"outbox": lambda: "2 entities wait", "bus": lambda: None})
    async with serve(health, HealthSettings()) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        status, said = await told(http, "/readyz")

    assert (status, said["status"], said["notices"]) == (200, "ok", {"outbox": "2 entities wait"})


async def full() -> None:
    raise NotReadyError("no free slot")


async def told(http: aiohttp.ClientSession, path: str) -> tuple[int, dict[str, object]]:
    async with http.get(path) as answer:
        return answer.status, await answer.json()


async def test_what_a_service_cannot_do_besides_is_told_and_leaves_it_ready() -> None:
    health = Health({"store": fine}, able={"accepting": full})
    async with serve(health, HealthSettings()) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        assert await told(http, "/readyz") == (
            200,
            {"status": "degraded", "parts": {"store": "ok", "accepting": "no free slot"}},
        )
        assert await told(http, "/readyz/accepting") == (503, {"status": "no free slot"})
        assert await told(http, "/readyz/store") == (200, {"status": "ok"})
        assert await told(http, "/readyz/stores") == (404, {"status": "the parts are store, accepting"})
    assert b'calliope_ready{part="accepting"} 0.0' in metrics.render()


async def test_a_service_is_not_ready_before_it_started_and_once_it_stops() -> None:
    health = Health({"store": fine}, started=False)
    async with serve(health, HealthSettings()) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        starting = await told(http, "/readyz")
        health.start()
        serving = await told(http, "/readyz")
        health.stop()
        stopping, live = await told(http, "/readyz"), await told(http, "/livez")

    parts = {"store": "ok"}
    assert starting == (503, {"status": "starting", "parts": parts})
    assert serving == (200, {"status": "ok", "parts": parts})
    assert stopping == (503, {"status": "stopping", "parts": parts})
    assert live[0] == 200


def test_metrics_have_no_second_series() -> None:
    metrics.counter("calliope_test_total", "For this test.").inc()

    assert b"calliope_test_created" not in metrics.render()


def test_a_signal_ends_a_service_with_zero() -> None:
    async def main(stop: Stop) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await stop.wait()

    assert run_service(main, service="test", settings=ServiceSettings()) == 0


def test_a_second_signal_cancels() -> None:
    async def main(stop: Stop) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await asyncio.Event().wait()

    assert run_service(main, service="test", settings=ServiceSettings()) == 1


def test_a_service_that_fails_ends_with_one() -> None:
    async def main(stop: Stop) -> None:
        raise RuntimeError("cannot start")

    assert run_service(main, service="test", settings=ServiceSettings()) == 1
