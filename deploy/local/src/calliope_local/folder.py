"""One stack per folder: a lock that its owner holds, and that nobody holds once the owner is gone.

The lock is an `flock`, so a stale file after a crash means nothing; the number inside only tells whom to signal.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

WAIT_S: Final = 3.0
POLL_S: Final = 0.05
_FILE: Final = "lock"


class FolderError(RuntimeError):
    """The folder, or a file in it, cannot be used; the message says which, why, and what to do."""


class FolderTakenError(RuntimeError):
    """Another process runs a stack in this folder."""

    def __init__(self, folder: Path, owner: int | None) -> None:
        super().__init__(f"{folder} is used by a running stack (process {owner})")
        self.owner = owner


class FolderLock:
    """`with FolderLock(folder) as lock`; waits a moment, because a stack that was killed needs one to vanish."""

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S) -> None:
        self._folder = folder
        self._wait_s = wait_s
        self.descriptor = -1

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + self._wait_s
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise FolderTakenError(self._folder, _written(self._folder))
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self.descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)
        self.descriptor = -1


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Says in words what the system refuses in this folder while the block runs. Raises: FolderError."""
    try:
        yield
    except OSError as exc:
        where = Path(os.fsdecode(exc.filename)) if isinstance(exc.filename, str | bytes) else folder
        if not {folder.absolute(), folder.resolve()} & {where.absolute(), *where.absolute().parents}:
            raise  # of something else
        why = (exc.strerror or str(exc)).lower()
        raise FolderError(f"{where} cannot be used: {why}. Calliope keeps its data in the folder {folder}.") from exc


def owner_of(folder: Path) -> int | None:
    """The process that runs a stack there now; none, when there is no such folder."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return None if _lock(descriptor) else _written(folder)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(folder: Path) -> int | None:
    text = (folder / _FILE).read_text(encoding="utf-8")
    return int(text) if text.isdigit() else None
