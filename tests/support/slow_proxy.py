"""A TCP proxy on loopback whose answers come late: a server that is merely slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 64 * 1024


class SlowProxy:
    """Passes everything on to `target_port`; what comes back is held for `late_s`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.late_s = 0.0
        self._target_port = target_port

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            inner, outer = await asyncio.open_connection("127.0.0.1", self._target_port)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._copy(reader, outer, is_answer=False), name="proxy.there")
                ways.create_task(self._copy(inner, writer, is_answer=True), name="proxy.back")

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                if is_answer and self.late_s:
                    await asyncio.sleep(self.late_s)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def slow_proxy(target_port: int) -> AsyncIterator[SlowProxy]:
    """A proxy before a server of loopback, at first as quick as it."""
    proxy = SlowProxy(target_port)
    server = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
