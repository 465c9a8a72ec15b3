"""A small server of language models, such as one has on one's own machine: lists its models, streams one answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class ChatServer:
    """`asked` are the bodies of chat completions, in order."""

    models: object
    status: int = 200
    answer: str = ""
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def chat_server(models: object, *, status: int = 200, answer: str = "") -> Iterator[ChatServer]:
    """Serve on a free port; `models` is the body of `GET /v1/models`."""
    state = ChatServer(models, status, answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._head("application/json")
            self.wfile.write(state.models if isinstance(state.models, bytes) else json.dumps(state.models).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(body)
            self._head("text/event-stream")
            for word in state.answer.split():
                self._chunk({"delta": {"content": f"{word} "}, "index": 0, "finish_reason": None})
            self._chunk({"delta": {}, "index": 0, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")

        def _head(self, content_type: str) -> None:
            self.send_response(state.status)
            self.send_header("Content-Type", content_type)
            self.end_headers()

        def _chunk(self, choice: dict[str, Any]) -> None:
            chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="models")
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
