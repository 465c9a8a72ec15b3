"""The bench's language model over TLS: what the sandbox serves it with, and what the worker trusts."""

from pathlib import Path

from calliope_local.probes import free_ports

Variables = dict[str, dict[str, str]]


def models_over_tls(folder: Path) -> Variables:
    """Variables by process, so that the worker asks the sandbox's OpenAI over TLS, with an authority of its own."""
    (port,), ca_file = free_ports(1), str(folder / "sandbox-ca.pem")
    return {
        "sandbox": {"CALLIOPE_SANDBOX_TLS_PORT": str(port), "CALLIOPE_SANDBOX_TLS_CA_FILE": ca_file},
        "worker": {
            "CALLIOPE_PROVIDERS__OPENAI__URL": f"https://127.0.0.1:{port}/openai/v1",
            "CALLIOPE_EGRESS__CA_FILE": ca_file,
        },
    }
