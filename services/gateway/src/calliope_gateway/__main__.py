"""Runs the gateway: `python -m calliope_gateway`."""

import sys

from calliope.runtime.process import main_of
from calliope_gateway.app import running
from calliope_gateway.settings import GatewaySettings

SAYS = "The gateway: answers the HTTP API and the hooks of carriers by asking the other services over the bus."


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    return main_of("gateway", GatewaySettings, running, says=SAYS)


if __name__ == "__main__":
    sys.exit(main())
