"""A TCP relay on loopback whose answers come late on demand: a store or a bus that is merely slow.

with SlowLink(target_port) as link:     # runs in a thread of its own; connect to `link.port`
    link.delay_s = 3.0
"""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 65_536
MAX_WAITING: Final = 1_000
START_S: Final = 10.0


class SlowLink:
    """Relays connections to `target_port`; what the server sends is passed on `delay_s` later, in order."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._target = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-link")
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # the loop closes the sockets of what was aborted

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_WAITING)
        try:
            with suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._at_once(reader, back))
                    tasks.create_task(self._note(there, late))
                    tasks.create_task(self._later(late, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()

    async def _at_once(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        raise ConnectionError("the client has closed")

    async def _note(self, source: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]) -> None:
        while data := await source.read(CHUNK):
            await late.put((self._loop.time() + self.delay_s, data))
        raise ConnectionError("the server has closed")

    async def _later(self, late: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
        while True:
            due, data = await late.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            sink.write(data)
            await sink.drain()
