"""Stands in for the gateway and the sandbox of a running stack: answers what a test says, and keeps what was asked."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from calliope_local.folder import FolderLock
from calliope_local.running import RunningStack

Json = dict[str, Any]
KEY = "cal_live_example"
ASSISTANT: Json = {"id": "asst_1", "name": "Practice", "revision": 3, "is_active": True}
LINE: Json = {"number": "+15550002222", "carrier": "twilio", "assistant_id": "asst_1"}
OTHERS: Json = {"numbers": {}, "others": {"account": "ACsandbox", "hook": "http://gateway/telephony/twilio/voice"}}


@dataclass(slots=True)
class Answers:
    """What is answered, by `GET /path?query`; what is not named is a 404 in the gateway's words."""

    known: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def say(self, what: str, body: Any, status: int = 200) -> None:
        """From now on."""
        self.known[what] = (status, body)

    def bodies(self, what: str) -> list[Any]:
        """What was sent with such requests."""
        return [body for asked, body in self.asked if asked == what]

    @property
    def stack(self) -> RunningStack:
        """As `local.json` tells."""
        return RunningStack(self.url, self.url, KEY)

    def write(self, folder: Path) -> Path:
        """The `local.json` of a stack that somebody runs; hold `FolderLock(folder)` meanwhile."""
        file = folder / "local.json"
        file.write_text(json.dumps({"gateway": self.url, "sandbox": self.url, "api_key": KEY}), encoding="utf-8")
        return file


@contextmanager
def answering(numbers: list[Json] | None = None, assistants: list[Json] | None = None) -> Iterator[Answers]:
    """A stack with these numbers and assistants, and a sandbox that rings all of them."""
    answers = Answers()
    page = {"items": [ASSISTANT] if assistants is None else assistants, "next_cursor": None}
    answers.say("GET /api/v1/assistants?limit=200", page)
    answers.say("GET /api/v1/phone-numbers", {"items": [LINE] if numbers is None else numbers})
    answers.say("GET /sandbox/twilio/numbers", OTHERS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    answers.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield answers
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@contextmanager
def up(answers: Answers, folder: Path) -> Iterator[Path]:
    """The `local.json` of a folder in which a stack runs."""
    with FolderLock(folder):
        yield answers.write(folder)


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            what = f"{self.command} {self.path}"
            answers.asked.append((what, json.loads(sent) if sent else None))
            status, body = answers.known.get(what, (404, {"detail": f"no {what}"}))
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of the standard library

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Not here."""

    return Handler


def typed_in(text: str) -> int:
    """The descriptor of a pipe that holds this text and has ended."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def a_refusal(message: str, **fields: str) -> Mapping[str, Any]:
    """A problem document."""
    return {"detail": message, "errors": [{"path": path, "message": said} for path, said in fields.items()]}
