"""The configurations of `deploy/proxy/`, run for real: TLS outside, audio to the worker, the rest to the gateway."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from calliope_local.probes import free_ports
from calliope_local.processes import Guardian, Process
from support.proxies import caddy, certificate, nginx
from support.upstreams import closed, gateway, serving, worker
from support.waiting import until

ROOT = Path(__file__).parents[3]
PROXY = ROOT / "deploy" / "proxy"
STARTED_S = 20.0
UNVERIFIED = ssl._create_unverified_context()  # noqa: S323 - a certificate of the test's own


@dataclass(frozen=True, slots=True)
class Addresses:
    """`host:port` of what stands behind, ports of what stands in front."""

    gateway: str
    worker: str
    https: int
    http: int


Command = tuple[list[str], dict[str, str]]


def run_caddy(folder: Path, to: Addresses) -> Command:
    """The shipped file as it is, its placeholders from the environment; options that spare this machine around it."""
    around = folder / "Caddyfile"
    around.write_text(
        f"{{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}}\nimport {PROXY / 'Caddyfile'}\n"
    )
    variables = {
        "CALLIOPE_SITE": f"https://localhost:{to.https}",
        "CALLIOPE_GATEWAY": to.gateway,
        "CALLIOPE_WORKER": to.worker,
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "HOME": str(folder),
    }
    return [str(caddy()), "run", "--config", str(around), "--adapter", "caddyfile"], variables


def run_nginx(folder: Path, to: Addresses) -> Command:
    """The shipped file with other addresses, inside a configuration such as a distribution has."""
    program = nginx()
    chain, key = certificate(folder)
    text = (PROXY / "nginx.conf").read_text()
    for shipped, ours in {
        "server 127.0.0.1:8080;": f"server {to.gateway};",
        "server 127.0.0.1:8081;": f"server {to.worker};",
        "listen 80;": f"listen 127.0.0.1:{to.http};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{to.https} ssl http2;",
        "/etc/letsencrypt/live/calls.example.com/fullchain.pem": str(chain),
        "/etc/letsencrypt/live/calls.example.com/privkey.pem": str(key),
        "server_name calls.example.com;": "server_name localhost;",
    }.items():
        assert shipped in text, f"nginx.conf has no {shipped}"
        text = text.replace(shipped, ours)
    (folder / "site.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "main.conf"
    main.write_text(
        f"daemon off;\nmaster_process off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n{temporary}access_log {folder}/access.log;\ninclude {folder}/site.conf;\n}}\n"
    )
    return [str(program), "-p", str(folder), "-e", "stderr", "-c", str(main)], {}


def has_certificate(port: int) -> Callable[[], bool]:
    """Ready when a handshake succeeds: Caddy makes its certificate after it listens."""

    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as plain:
                UNVERIFIED.wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    return probe


@asynccontextmanager
async def in_front(
    make: Callable[[Path, Addresses], Command], folder: Path
) -> AsyncIterator[tuple[aiohttp.ClientSession, Addresses]]:
    closed.clear()
    https, http = free_ports(2)
    async with serving(gateway) as front, serving(worker) as media, aiohttp.ClientSession() as client:
        to = Addresses(f"127.0.0.1:{front.port}", f"127.0.0.1:{media.port}", https, http)
        command, variables = await asyncio.to_thread(make, folder, to)
        with Guardian() as guardian:
            process = Process("proxy", command, os.environ | variables, folder / "log", guardian)
            process.start()
            try:
                await asyncio.to_thread(process.wait_ready, has_certificate(https), within_s=STARTED_S)
                yield client, to
            finally:
                await asyncio.to_thread(process.stop)


both = pytest.mark.parametrize("make", [run_caddy, run_nginx], ids=["caddy", "nginx"])


@both
async def test_it_carries_requests_and_media_over_tls_to_the_right_service(
    make: Callable[[Path, Addresses], Command], tmp_path: Path
) -> None:
    async with in_front(make, tmp_path) as (client, to):
        host, url = f"localhost:{to.https}", f"https://localhost:{to.https}"
        signed = {"X-Twilio-Signature": "s="}

        async with client.post(f"{url}/telephony/twilio/voice?a=%20b", data="x=1", headers=signed, ssl=False) as answer:
            told = await answer.json()
        assert (told["path"], told["host"], told["signature"]) == ("/telephony/twilio/voice?a=%20b", host, ["s="])
        assert told["for"] == ["127.0.0.1"]

        async with client.ws_connect(f"{url}/media/twilio/call_1/token", headers=signed, ssl=False) as socket:
            assert await socket.receive_json(timeout=5) == ["/media/twilio/call_1/token", host, "s="]
            await socket.send_str("frame")
            assert await socket.receive_str(timeout=5) == "frame"
            await socket.send_str("bye")
            assert (await socket.receive(timeout=5)).data == 1008

        async with client.get(f"{url}/feed", ssl=False) as feed, asyncio.timeout(5):
            assert await feed.content.readline() == b"data: 1\n"

        for path in ("/metrics", "/livez", "/readyz"):
            async with client.get(url + path, ssl=False) as answer:
                assert answer.status == 404

        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{url}/media/twilio/refused", ssl=False)
        assert refused.value.status == 403


@both
async def test_a_one_time_token_is_in_no_log(make: Callable[[Path, Addresses], Command], tmp_path: Path) -> None:
    async with in_front(make, tmp_path) as (client, to):
        url = f"https://localhost:{to.https}"
        headers = {"X-Twilio-Signature": "s="}
        async with client.ws_connect(f"{url}/media/twilio/call_1/t0ken", headers=headers, ssl=False) as socket:
            await socket.receive_json(timeout=5)
        await until(lambda: closed)
        async with client.get(f"{url}/api/v1/assistants", ssl=False) as answer:
            assert answer.status == 200

    logs = [file for file in (tmp_path / "log", tmp_path / "access.log") if file.exists()]
    assert logs
    assert not any("t0ken" in file.read_text() for file in logs)


async def test_plain_http_is_sent_to_tls_by_nginx(tmp_path: Path) -> None:
    async with (
        in_front(run_nginx, tmp_path) as (client, to),
        client.get(f"http://localhost:{to.http}/docs", allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/docs")
