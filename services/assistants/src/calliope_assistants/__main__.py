"""Runs the assistants service: `python -m calliope_assistants`."""

import asyncio
import sys

from calliope.runtime import run_service
from calliope_assistants.app import running
from calliope_assistants.handlers import SERVICE
from calliope_assistants.settings import AssistantsSettings


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = AssistantsSettings()

    async def serve(stop: asyncio.Event) -> None:
        async with running(settings):
            await stop.wait()

    return run_service(serve, service=SERVICE, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
