"""Settings of the sandbox: where it listens."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """`CALLIOPE_SANDBOX_HOST` and `CALLIOPE_SANDBOX_PORT`; port 0 takes a free one. Loopback only."""

    host: str = "127.0.0.1"
    port: int = 8090

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SandboxSettings":
        """Raises: ValueError, when the port is none."""
        return cls(
            host=environment.get("CALLIOPE_SANDBOX_HOST", "127.0.0.1"),
            port=int(environment.get("CALLIOPE_SANDBOX_PORT", "8090")),
        )
