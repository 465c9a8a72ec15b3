"""Tells the other workers how far the reply that is being said has come; not with every chunk of audio."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from calliope_call_worker.playback import EVERY_S, Playback
from calliope_call_worker.ports import Playbacks

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[Any]"]


class PlaybackKeeper:
    """Of one call. `spawn` starts tasks that outlive it."""

    def __init__(self, call_id: str, owner: int, playbacks: Playbacks, spawn: Spawn) -> None:
        self._call_id = call_id
        self._owner = owner
        self._playbacks = playbacks
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._state: Callable[[], Playback | None] = lambda: None
        self._closed = False

    def changed(self, state: Callable[[], Playback | None]) -> None:
        """There is more to tell; `state` is asked when its time comes, None when it does not matter any more."""
        if self._closed:
            return
        self._state = state
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._due, self._loop.time()), self._keep_changed)

    def keep(self, playback: Playback) -> None:
        """Replace at once what the others know."""
        if not self._closed:
            self._spawn(self._playbacks.keep(self._call_id, self._owner, playback), "call.playback")

    def close(self) -> None:
        """Nothing is kept any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _keep_changed(self) -> None:
        self._timer, self._due = None, self._loop.time() + EVERY_S
        playback = self._state()
        if playback is not None:
            self.keep(playback)
