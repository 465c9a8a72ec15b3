"""Recordings of what turn taking saw: one file of JSON lines a call, written by a thread: no call waits for a disk.

They hold the caller's words, never audio. Nothing is deleted here: how long files are kept is the operator's decision.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from calliope.errors import PermanentError
from calliope_call_worker.settings import RecordingsSettings

log = structlog.get_logger(__name__)

MAX_WAITING_BYTES: Final = 256 * 1024  # of one call: minutes of talk; a disk so far behind is given up
_OWNER_ONLY: Final = 0o600


class FileRecording:
    """See `ports.Recorder`. A recording with a hole would replay wrongly: at the first line too many it ends."""

    def __init__(self, path: Path, max_bytes: int, changed: Callable[["FileRecording"], None]) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._changed = changed
        self._waiting = bytearray()
        self._bytes = 0
        self._over = False

    def record(self, line: Mapping[str, Any]) -> None:
        """See `ports.Recorder`."""
        if self._over:
            return
        data = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        if self._bytes + len(data) > self._max_bytes:
            self.stop("it is as long as one may be")
        elif len(self._waiting) + len(data) > MAX_WAITING_BYTES:
            self.stop("the disk does not keep up")
        else:
            self._waiting += data
            self._bytes += len(data)
            self._changed(self)

    def stop(self, reason: str) -> None:
        """Nothing more is recorded of this call; what was recorded stays and can be replayed."""
        if not self._over:
            self._over = True
            log.warning("recording.stopped", file=self.path.name, reason=reason)

    def take(self) -> bytes:
        """What waits to be written."""
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting


class FileRecordings:
    """See `ports.Recordings`."""

    def __init__(self, settings: RecordingsSettings) -> None:
        self._settings = settings
        self._changed: dict[FileRecording, None] = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._said_so = False

    async def prepare(self) -> None:
        """Make the folder. Raises: PermanentError, when files cannot be kept there."""
        folder = self._settings.folder
        if folder is not None and (why := await asyncio.to_thread(_unusable, folder)) is not None:
            raise PermanentError(
                f"recordings cannot be kept in {folder} ({why}): set CALLIOPE_RECORDINGS__FOLDER to a folder that this "
                "process may write to, or leave it out"
            )

    def open(self, call_id: str) -> FileRecording | None:
        """See `ports.Recordings`. A call that comes back to this worker goes on in its file."""
        folder = self._settings.folder
        if folder is None:
            if not self._said_so:
                self._said_so = True
                log.warning("recording.impossible", call_id=call_id, reason="CALLIOPE_RECORDINGS__FOLDER is not set")
            return None
        return FileRecording(folder / f"{call_id}.jsonl", self._settings.max_call_bytes, self._note)

    async def run(self) -> None:
        """Write, for as long as the worker lives; lines wait a moment so that many calls are one trip to the disk."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self._settings.write_every_s)
            await self.flush()

    async def flush(self) -> None:
        """Write everything that waits. A file that cannot be written ends its recording, not its call."""
        async with self._writing:
            self._news.clear()
            changed, self._changed = list(self._changed), {}
            failures = await asyncio.to_thread(_append, [(one.path, one.take()) for one in changed])
        for recording, failure in zip(changed, failures, strict=True):
            if failure is not None:
                recording.stop(failure)

    def _note(self, recording: FileRecording) -> None:
        self._changed[recording] = None
        self._news.set()


def _unusable(folder: Path) -> str | None:
    """Why files cannot be kept there; the folder is made if it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        return exc.strerror or str(exc)
    return None if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written to"


def _append(pieces: Iterable[tuple[Path, bytes]]) -> list[str | None]:
    """Append to each file; what went wrong with which."""
    return [_append_one(path, data) for path, data in pieces]


def _append_one(path: Path, data: bytes) -> str | None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ONLY), "ab") as file:
            file.write(data)
    except OSError as exc:
        return f"not written: {exc.strerror}"
    return None
