"""Reads server-sent events as chat servers send them: cut anywhere, any line end, comments, joined lines. Pure."""

from typing import Final

from calliope_call_worker.providers.llm.lenient import read_json

MAX_LINE_BYTES: Final = 512 * 1024
MAX_JOINED: Final = 200
"""Lines of one value; each more is read with all before it."""
_MAX_JOINED_BYTES: Final = 64 * 1024


class SseError(Exception):
    """What came is not a stream of JSON objects."""


class SseReader:
    """Feed bytes; get JSON values. `done` after `[DONE]`.

    One `data:` line is one value, with or without the blank line behind it; only a line that is no JSON yet is joined
    with the next, as the standard would have it. A bare JSON line, as some send their errors, counts as data.
    """

    def __init__(self) -> None:
        self.done = False
        self._rest = b""
        self._joined = b""
        self._joined_lines = 0

    def feed(self, chunk: bytes) -> list[object]:
        """The values that are complete now. Raises: SseError."""
        data = self._rest + chunk if self._rest else chunk
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise SseError("an endless line")
        values: list[object] = []
        for line in lines:
            self._line(line, values)
        return values

    def finish(self) -> list[object]:
        """The stream ended; its last line may lack an end."""
        values: list[object] = []
        self._line(self._rest, values)
        self._line(b"", values)
        self._rest = b""
        return values

    def _line(self, line: bytes, values: list[object]) -> None:
        if line.startswith(b"data:"):
            line = line[5:].strip()
            if line == b"[DONE]":
                self.done = True
                return
            if not line:
                return
        else:
            line = line.rstrip(b"\r")
            if not line:
                if self._joined:
                    raise SseError("data that is not JSON")
                return
            if not self._joined and not line.startswith((b"{", b"[")):
                return  # a comment, an event name, an id
        try:
            values.append(read_json(self._joined + line))
        except ValueError:
            self._joined += line + b"\n"
            self._joined_lines += 1
            if len(self._joined) > _MAX_JOINED_BYTES or self._joined_lines > MAX_JOINED:
                raise SseError("data that is not JSON") from None
        else:
            self._joined, self._joined_lines = b"", 0
