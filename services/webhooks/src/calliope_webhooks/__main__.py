"""Runs webhooks: `python -m calliope_webhooks`."""

import asyncio
import sys

from calliope.runtime import run_service
from calliope_webhooks.app import running
from calliope_webhooks.handlers import SERVICE
from calliope_webhooks.settings import WebhooksSettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = WebhooksSettings()

    async def serve(stop: asyncio.Event) -> None:
        async with running(settings):
            await stop.wait()

    return run_service(serve, service=SERVICE, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
