"""Runs the sandbox: `python -m calliope_sandbox`; one JSON line says where it listens."""

import argparse
import asyncio
import gc
import signal
import sys
import textwrap
from typing import Final

import orjson
import uvloop
from aiohttp import web

from calliope_sandbox.app import Sandbox, create_app
from calliope_sandbox.settings import SandboxSettings, SettingsError, variables
from calliope_sandbox.tls import server_context
from calliope_sandbox.vendors.numbers import NumberError

ALLOCATIONS: Final = 700
YOUNG_ROUNDS: Final = 5
MIDDLE_ROUNDS: Final = 2_000
WIDTH: Final = 90
SAYS: Final = (
    "The sandbox: carriers, speech, models, voices and a receiver of webhooks, emulated on one port of this machine. "
    "It takes no arguments; what it reads from environment variables:"
)


async def serve(settings: SandboxSettings) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(create_app(Sandbox(accounts=settings.accounts)), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        if settings.tls_port is not None:
            context = server_context(settings.tls_ca_file)
            await web.TCPSite(runner, settings.host, settings.tls_port, ssl_context=context).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(orjson.dumps({"event": "sandbox.serving", "url": f"http://{host}:{port}"}).decode() + "\n")
        sys.stdout.flush()
        _rarely_collect()
        await stop.wait()
    finally:
        await runner.cleanup()


def _rarely_collect() -> None:
    """Its callers keep time too: a full round of the garbage collector is a pause that they would hear."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, YOUNG_ROUNDS, MIDDLE_ROUNDS)


def _parser() -> argparse.ArgumentParser:
    settings = (
        f"  {name}{f' [{default}]' if default else ''}\n{textwrap.indent(textwrap.fill(meaning, WIDTH), ' ' * 6)}"
        for name, (default, meaning) in variables().items()
    )
    return argparse.ArgumentParser(
        prog="python -m calliope_sandbox",
        description=textwrap.fill(SAYS, WIDTH),
        epilog="\n".join(settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def main() -> int:
    """Exit status 0 after a signal, 2 when an argument or a setting cannot be used."""
    _parser().parse_args()
    try:
        uvloop.run(serve(SandboxSettings.from_environment()))
    except (SettingsError, NumberError) as exc:
        sys.stderr.write(f"calliope-sandbox: {exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
