"""Speaking into the call: sends audio with a bounded lead, keeps what was heard, tells when replies begin and end.

Late audio is fenced here: after `cut` or `drop` of a reply nothing of it reaches the carrier any more.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from calliope_call_worker.media import MediaSocket
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.heard import Heard
from calliope_call_worker.pipeline.playout import Playout
from calliope_call_worker.providers.tts.base import SpokenAudio

MESSAGE_BYTES: Final = 1_600  # 200 ms: few messages, and none so long that a carrier could mind
Tell = Callable[[ev.Input], None]


class Speaker:
    """The way out of one media stream."""

    def __init__(self, media: MediaSocket, tell: Tell, *, max_lead_s: float) -> None:
        self._media = media
        self._tell = tell
        self._max_lead_s = max_lead_s
        self._loop = asyncio.get_running_loop()
        self._playout = Playout()
        self._live: str | None = None
        self._all_sent = False
        self._audible = False
        self._sent_bytes = 0
        self._played = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, reply_id: str) -> None:
        """From now on this reply, and no other, may be heard."""
        self._live, self._all_sent, self._audible, self._sent_bytes = reply_id, False, False, 0

    def position_ms(self, reply_id: str) -> float:
        """How much audio of the reply was sent: where the next speech stream of it begins."""
        return self._sent_bytes / 8 if reply_id == self._live else 0.0

    async def until_played(self, timeout_s: float) -> None:
        """Until all that was sent was heard, or nothing is left to hear; at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._live is not None and self._audible:
                    self._played.clear()
                    await self._played.wait()
        except TimeoutError:
            return

    def said(self, reply_id: str, text: str) -> None:
        """Text went to the voice."""
        self._playout.said(reply_id, text)

    async def play(self, reply_id: str, spoken: SpokenAudio) -> bool:
        """Send audio, waiting while too much of it is at the carrier. False: the reply is not wanted any more."""
        if reply_id != self._live:
            return False
        self._playout.timed(reply_id, spoken.spans)
        for start in range(0, len(spoken.audio), MESSAGE_BYTES):
            ahead_s = self._playout.buffered_s(self._loop.time()) - self._max_lead_s
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            if reply_id != self._live:
                return False
            self._send(reply_id, spoken.audio[start : start + MESSAGE_BYTES])
        if reply_id != self._live:
            return False
        self._send_mark(reply_id)
        return True

    def finish(self, reply_id: str) -> None:
        """All audio of the reply was given to `play`."""
        if reply_id != self._live:
            return
        self._all_sent = True
        self._playout.completed(reply_id)
        if self._playout.is_played(reply_id):
            self._done(reply_id)

    def cut(self, reply_id: str) -> Heard:
        """Silence now: clear the carrier, fence the reply; what was heard of it."""
        now = self._loop.time()
        if reply_id == self._live:
            self._media.clear()
            self._playout.cleared(now)
        return self.drop(reply_id)

    def drop(self, reply_id: str) -> Heard:
        """The reply is over, or will never be; what was heard of it."""
        heard = self._playout.heard(reply_id, self._loop.time())
        self._playout.forget(reply_id)
        if reply_id == self._live:
            self._live = None
            self._disarm()
            self._played.set()
        return heard

    def mark_returned(self, name: str) -> None:
        """The carrier played, or cleared, everything before this mark."""
        self._playout.mark_returned(name, self._loop.time())
        self._check_played()

    def heard(self, reply_id: str) -> Heard:
        """What was heard of the reply until now."""
        return self._playout.heard(reply_id, self._loop.time())

    def audible_at(self, reply_id: str) -> float | None:
        """When the caller began to hear it."""
        return self._playout.audible_at(reply_id)

    def _send(self, reply_id: str, audio: bytes) -> None:
        now = self._loop.time()
        self._media.send_audio(audio)
        self._playout.sent(reply_id, len(audio), now)
        self._sent_bytes += len(audio)
        if not self._audible:
            self._audible = True
            self._tell(ev.ReplyAudible(reply_id))

    def _send_mark(self, reply_id: str) -> None:
        name = self._playout.mark(reply_id, self._loop.time())
        if name is not None:
            self._media.send_mark(name)
            self._arm(reply_id)

    def _check_played(self) -> None:
        reply_id = self._live
        if reply_id is None or not self._audible or not self._playout.is_played(reply_id):
            return
        if self._all_sent:
            self._done(reply_id)
        else:
            self._audible = False
            self._disarm()
            self._played.set()
            self._tell(ev.ReplyPaused(reply_id))

    def _done(self, reply_id: str) -> None:
        self._disarm()
        self._tell(ev.ReplyDone(reply_id))

    def _arm(self, reply_id: str) -> None:
        """A mark that never comes back must not hold the call up."""
        self._disarm()
        at = self._playout.overdue_at(reply_id)
        if at is not None:
            self._timer = self._loop.call_at(at, self._overdue, reply_id)

    def _overdue(self, reply_id: str) -> None:
        marks = self._playout.pending_marks
        if reply_id == self._live and marks:
            self._playout.mark_returned(marks[-1], self._loop.time())
            self._check_played()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
