"""A model's server on a bare socket: counts its connections, and the test says how it answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson

from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_call_worker.providers.llm.connections import ModelConnections, tracing
from calliope_call_worker.providers.llm.openai import OpenAiChat
from calliope_call_worker.providers.llm.quirks import CUSTOM

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
Answer = Callable[["Stream"], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    """As HTTP/1.1 frames it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def words(text: str, finish: str | None = None) -> bytes:
    """One event of a chat completion."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


@dataclass(slots=True)
class Stream:
    """One answer on its way."""

    writer: asyncio.StreamWriter
    sent: int = 0

    async def send(self, data: bytes) -> None:
        """A chunk of the body; waits when the client does not take it. Raises: ConnectionError."""
        self.writer.write(chunk(data))
        await self.writer.drain()
        self.sent += len(data)


@dataclass(slots=True)
class ModelServer:
    """`accepted` connections, `asked` for answers on connection number so and so, `closed` by clients."""

    url: str = ""
    accepted: int = 0
    asked: list[int] = field(default_factory=list)
    closed: int = 0
    streams: list[Stream] = field(default_factory=list)
    closes_after_head: bool = False


@asynccontextmanager
async def a_model_server(answer: Answer) -> AsyncIterator[ModelServer]:
    """`answer` writes the body of one answer; its end is added unless it raises."""
    server = ModelServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.accepted += 1
        number = server.accepted
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"HEAD"):
                    closing = b"Connection: close\r\n" if server.closes_after_head else b""
                    writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n" + closing + b"Content-Length: 0\r\n\r\n")
                    if server.closes_after_head:
                        return
                    continue
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                server.asked.append(number)
                stream = Stream(writer)
                server.streams.append(stream)
                writer.write(HEAD)
                await answer(stream)
                writer.write(END)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            server.closed += 1
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        yield server


@asynccontextmanager
async def a_model(url: str) -> AsyncIterator[OpenAiChat]:
    """A model as a worker has it, with what goes on beside its answers."""
    async with aiohttp.ClientSession(trace_configs=[tracing()]) as session, IsolatedTasks() as tasks:
        yield OpenAiChat(session, CUSTOM, url=url, model="m", api_key=None, connections=ModelConnections(tasks.spawn))
