"""What each process of the stack runs, and when it is ready."""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final

from calliope_local.environment import Ports
from calliope_local.nats_config import nats_config
from calliope_local.probes import accepts_tcp, answers_http

_MODULES: Final = {
    "sandbox": "calliope_sandbox",
    "assistants": "calliope_assistants",
    "webhooks": "calliope_webhooks",
    "worker": "calliope_call_worker",
    "gateway": "calliope_gateway",
    "provision": "calliope.messaging.provision",
    "proxy": "calliope_local.proxy",
}
_SCRIPTS: Final = Path(sysconfig.get_path("scripts"))


def command(kind: str, folder: Path, ports: Ports) -> list[str]:
    """The command line; writes the configuration file that it names."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    if kind == "nats":
        config = folder / "nats.conf"
        config.write_text(nats_config(data / "nats", ports), encoding="utf-8")
        return [str(_SCRIPTS / "nats-server"), "-c", str(config)]
    if kind == "mongo":
        log_file = str(folder / "logs" / "mongo-server.log")
        files = ["--db", str(data / "mongo.db"), "--pid-file", str(folder / "mongo.pid"), "--log-file", log_file]
        return [str(_SCRIPTS / "nx-27017"), "--host", "127.0.0.1", "--port", str(ports.mongo), *files]
    return [sys.executable, "-m", _MODULES[kind]]


def readiness(kind: str, port: int, ports: Ports) -> Callable[[], bool]:
    """Asks whether it is ready."""
    if kind == "nats":
        return answers_http(f"http://127.0.0.1:{ports.nats_monitor}/healthz")
    if kind in {"mongo", "proxy"}:
        return accepts_tcp(port)
    return answers_http(f"http://127.0.0.1:{port}/readyz")
