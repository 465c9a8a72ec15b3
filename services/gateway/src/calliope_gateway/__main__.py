"""Runs the gateway: `python -m calliope_gateway`."""

import asyncio
import sys

from calliope.runtime import run_service
from calliope_gateway.app import running
from calliope_gateway.settings import GatewaySettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = GatewaySettings()

    async def serve(stop: asyncio.Event) -> None:
        async with running(settings):
            await stop.wait()

    return run_service(serve, service="gateway", settings=settings)


if __name__ == "__main__":
    sys.exit(main())
