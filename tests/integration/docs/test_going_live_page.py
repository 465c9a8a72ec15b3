"""docs/going-live.md, followed on this machine as far as it needs no vendor and no root.

Blocks marked `test` run as they stand, with folders and ports of the test in place of the system's; the block marked
`start` is carried out by starting what its units start, with their environment files. The others are only read.
"""

import base64
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_local.env_file import known_variables, read_env_file
from calliope_local.outside import Here, decide
from calliope_local.probes import accepts_tcp, answers_http, free_ports
from calliope_local.processes import Guardian, Process
from calliope_webhooks.settings import WebhooksSettings
from support.doc_blocks import DOCS, Block, blocks_of

PAGE = "going-live.md"
ROOT = DOCS.parent
BLOCK_S = 90.0
READY_S = 60.0
HEALTH = {"gateway": "9080", "call_worker": "9081", "assistants": "9082", "webhooks": "9083"}
"""The settings' own defaults, which the page relies on."""
PORTS = ("4222", "8222", "27017", "8080", "8081", *HEALTH.values())
MODEL_KEY = "sk-of-the-test"
SERVICES = ("assistants", "webhooks", "call_worker", "gateway")


@dataclass(frozen=True, slots=True)
class Machine:
    """What stands for `/etc/calliope`, `/opt/calliope`, the ports … of the page."""

    folder: Path
    ports: dict[str, int]

    def here(self, text: str) -> str:
        """The text with this machine's places."""
        for there, here in {
            "/etc/calliope": self.folder / "etc",
            "/usr/local/sbin": self.folder / "sbin",
            "/var/lib/calliope": self.folder / "lib",
            "/opt/calliope/.venv/bin": Path(sys.executable).parent,
            "/opt/calliope": ROOT,
        }.items():
            text = text.replace(there, str(here))
        for port, other in self.ports.items():
            text = re.sub(rf"(?<![\w-]){port}\b", str(other), text)
        return text.replace("https://calls.example.com/api", f"http://127.0.0.1:{self.ports['8080']}/api")

    def run(self, blocks: list[Block], **variables: str) -> str:
        """What the blocks print, run one after the other in one shell."""
        script = 'sudo() { "$@"; }\n' + "\n".join(self.here(block.text) for block in blocks)
        done = subprocess.run(  # noqa: S603 - our own page
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            env=os.environ | variables | {"PATH": f"{self.folder / 'sbin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def variables(self, *files: str) -> dict[str, str]:
        """As systemd reads environment files."""
        found: dict[str, str] = {}
        for file in files:
            for line in (self.folder / "etc" / file).read_text().splitlines():
                if line and not line.startswith("#"):
                    name, _, value = line.partition("=")
                    found[name] = "".join(shlex.split(value))
        return found

    def process(self, unit: str, instance: str, guardian: Guardian) -> Process:
        """What a unit starts, with the environment that it names."""
        text = (ROOT / "deploy" / "systemd" / f"{unit}.service").read_text().replace("%i", instance)
        [line] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
        files = [Path(file).name for file in re.findall(r"^EnvironmentFile=(.+)$", text, re.MULTILINE)]
        (self.folder / "lib-nats").mkdir(exist_ok=True)
        (self.folder / "lib-store").mkdir(exist_ok=True)
        variables = {"PATH": os.environ["PATH"], "CALLIOPE_LAME_DUCK_S": "0"} | self.variables(*files)
        if instance:
            variables["CALLIOPE_HEALTH__PORT"] = str(self.ports[HEALTH[instance]])
        name = instance or unit
        return Process(name, self.here(line).split(), variables, self.folder / f"{name}.log", guardian)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if shutil.which("openssl") is None or shutil.which("curl") is None:
        pytest.skip("openssl or curl is not installed")
    return Machine(tmp_path_factory.mktemp("machine"), dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))


def around_the_start() -> tuple[list[Block], list[Block]]:
    """Blocks to run before and after the services are started."""
    marked = [block for block in blocks_of(PAGE) if block.mark in {"test", "start"}]
    at = next(number for number, block in enumerate(marked) if block.mark == "start")
    return marked[:at], marked[at + 1 :]


@pytest.fixture(scope="module")
def settled(machine: Machine) -> Machine:
    """Sections 2 and 3 done; what they copied has this machine's places too."""
    *before, secrets = around_the_start()[0]
    machine.run(before)
    for file in (machine.folder / "etc" / "nats.conf", machine.folder / "sbin" / "calliope-admin"):
        file.write_text(machine.here(file.read_text()))
    machine.run([secrets])
    return machine


@pytest.fixture(scope="module")
def started(settled: Machine) -> Iterator[Machine]:
    """Section 4 done, once for all tests."""
    [start] = [block.text for block in blocks_of(PAGE) if block.mark == "start"]
    assert re.findall(r"--now (calliope\S+(?: calliope\S+)*)", start) == [
        "calliope-nats calliope-store",
        "calliope.target",
    ]
    ports = settled.ports
    with Guardian() as guardian:
        backing = [settled.process(f"calliope-{name}", "", guardian) for name in ("nats", "store")]
        services = [settled.process("calliope@", name, guardian) for name in SERVICES]
        try:
            for process, port in zip(backing, ("4222", "27017"), strict=True):
                process.start()
                process.wait_ready(accepts_tcp(ports[port]), within_s=READY_S)
            job = settled.process("calliope-provision", "", guardian)
            job.start()
            job.finish(within_s=READY_S)
            for process in services:
                process.start()
            for process, name in zip(services, SERVICES, strict=True):
                process.wait_ready(answers_http(f"http://127.0.0.1:{ports[HEALTH[name]]}/readyz"), within_s=READY_S)
            yield settled
        finally:
            for process in services:
                process.signal(signal.SIGTERM)
            for process in (*services, *reversed(backing)):
                process.stop()


def test_the_ports_of_health_are_those_of_the_settings() -> None:
    defaults = {
        "gateway": GatewaySettings(), "call_worker": WorkerSettings(),
        "assistants": AssistantsSettings(), "webhooks": WebhooksSettings(),
    }  # fmt: skip
    assert {name: str(settings.health.port) for name, settings in defaults.items()} == HEALTH


def test_each_service_gets_what_it_reads_and_nobody_anothers_secret(settled: Machine) -> None:
    files = {name: settled.variables(f"{name}.env") for name in ("common", *SERVICES)}

    assert {name for found in files.values() for name in found} <= set(known_variables())
    [calls] = re.findall(r'"(.+)"', files["call_worker"]["CALLIOPE_SEALING__PRIVATE_KEYS"])
    [webhooks] = re.findall(r'"(.+)"', files["webhooks"]["CALLIOPE_SEALING__PRIVATE_KEYS"])
    assert calls != webhooks
    assert {len(base64.b64decode(key)) for key in (calls, webhooks)} == {32}
    everything_else = str({name: found for name, found in files.items() if name != "call_worker"})
    assert calls not in everything_else
    assert webhooks not in str({name: found for name, found in files.items() if name != "webhooks"})
    public = [name for name in files["gateway"] if "SEALING" in name]
    assert {name: files["gateway"][name] for name in public} == {name: files["assistants"][name] for name in public}
    assert len(public) == 2
    modes = {file.name: file.stat().st_mode & 0o777 for file in (settled.folder / "etc").glob("*.env")}
    assert set(modes.values()) == {0o600}


def test_the_installation_starts_and_a_number_gets_an_assistant(started: Machine) -> None:
    [last] = [block for block in blocks_of(PAGE) if block.mark == "test KEY"]

    ready = started.run(around_the_start()[1])
    [key] = re.findall(r"\bcal_live_\w+", ready)
    said = started.run([last], KEY=key, OPENAI_API_KEY=MODEL_KEY)

    assert ready.count(" ready") == 4
    assert MODEL_KEY not in said
    assert '"number":"+15550002222"' in said.replace(" ", "")


def test_the_ways_of_hooks_and_of_media_can_be_tried_without_a_carrier(started: Machine) -> None:
    """What section 8 says of each answer."""
    gateway, worker = (f"http://127.0.0.1:{started.ports[port]}" for port in ("8080", "8081"))

    assert answer_of(f"{gateway}/telephony/twilio/voice", b"CallSid=CA1")[0] == 400
    assert answer_of(f"{worker}/media/twilio/call_x") == (404, "text/plain")
    assert answer_of(f"{gateway}/media/twilio/call_x") == (404, "application/problem+json")


def answer_of(url: str, body: bytes | None = None) -> tuple[int, str]:
    """Status and kind of content."""
    try:
        with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # noqa: S310 - our own address
            return int(answer.status), answer.headers.get_content_type()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.headers.get_content_type()


def test_what_is_not_run_is_at_least_a_shell_script_and_names_what_there_is() -> None:
    for block in blocks_of(PAGE):
        if block.language != "bash":
            continue
        done = subprocess.run(["/bin/bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr
        for path in re.findall(r"/opt/calliope/(\S+)", block.text):
            assert path.startswith(".venv") or list(ROOT.glob(path)), path


def test_the_file_for_a_laptop_makes_those_vendors_real(tmp_path: Path) -> None:
    [text] = [block.text for block in blocks_of(PAGE) if block.mark == "env"]
    (tmp_path / ".env").write_text(text)

    outside = decide(read_env_file(tmp_path / ".env"), public_url="https://name-of-your-tunnel.example")

    real = {choice.vendor.name for choice in outside.choices if choice.here is Here.REAL}
    assert real == {"Twilio", "Deepgram", "OpenAI", "ElevenLabs", "Deepgram Aura"}
    assert not any("tones" in remark or "nobody reads" in remark for remark in outside.remarks)
