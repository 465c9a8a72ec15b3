"""The systemd units: systemd understands them, they start our programs and are shut in; the bus's configuration."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from calliope_local.nats_config import reader_permissions

ROOT = Path(__file__).parents[3]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("gateway", "assistants", "webhooks", "call_worker")
EXPOSURE_AT_MOST = 30
"""Of 100, by `systemd-analyze security`; what nobody hardened has 96."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """With the programs of this checkout, and an instance per service."""
    analyze()
    for file in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        text = file.read_text().replace("/opt/calliope/.venv/bin", str(Path(sys.executable).parent))
        text = text.replace("User=calliope", "User=root").replace("Group=calliope", "Group=root")
        names = [file.name.replace("@", f"@{one}") for one in SERVICES] if "@" in file.name else [file.name]
        for name in names:
            (tmp_path / name).write_text(text)
    return tmp_path


def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


def run(command: list[str], variables: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own commands
        command, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_understands_every_unit(units: Path) -> None:
    files = [str(file) for file in units.iterdir()]

    done = run([analyze(), "verify", "--man=no", *files])

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["calliope@gateway", "calliope-nats", "calliope-store", "calliope-provision"])
def test_a_service_that_is_broken_into_reaches_little(units: Path, name: str) -> None:
    asked = [analyze(), "security", "--offline=true", f"--threshold={EXPOSURE_AT_MOST}", str(units / f"{name}.service")]

    done = run(asked)

    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_the_target_starts_the_four_services_and_each_is_a_module() -> None:
    wanted = re.findall(r"calliope@(\w+)\.service", (UNITS / "calliope.target").read_text())

    assert sorted(wanted) == sorted(SERVICES)
    assert all(find_spec(f"calliope_{name}.__main__") for name in SERVICES)


def test_the_bus_understands_its_configuration_and_its_reader_is_that_of_the_local_bus(tmp_path: Path) -> None:
    shipped = (ROOT / "deploy" / "nats" / "nats.conf").read_text()
    assert reader_permissions() in shipped
    config = tmp_path / "nats.conf"
    config.write_text(shipped.replace("/var/lib/calliope-nats", str(tmp_path)))
    server = Path(sys.executable).parent / "nats-server"
    passwords = {"CALLIOPE_NATS__PASSWORD": "n-0e1", "CALLIOPE_NATS_READER_PASSWORD": "r-12"}

    done = run([str(server), "-t", "-c", str(config)], passwords)

    assert done.returncode == 0, done.stderr
