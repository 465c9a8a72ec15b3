"""Speaking into the call: sends audio with a bounded lead, keeps what was heard, tells when replies begin and end.

Late audio is fenced here: after `cut` or `drop` of a reply nothing of it reaches the carrier any more. Marks that stay
away are asked after with a probe; a carrier that returns nothing then has lost the stream.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from calliope_call_worker.media import MediaSocket
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.heard import Heard
from calliope_call_worker.pipeline.mark_watch import MarkWatch, Verdict
from calliope_call_worker.pipeline.playout import BYTES_PER_MS, Playout
from calliope_call_worker.providers.tts.base import SpokenAudio

MESSAGE_BYTES: Final = 1_600  # 200 ms: few messages, and none so long that a carrier could mind
Tell = Callable[[ev.Input], None]


class Speaker:
    """The way out of one media stream. `on_lost` is called when the carrier does not take it any more."""

    def __init__(self, media: MediaSocket, tell: Tell, on_lost: Callable[[], None], *, max_lead_s: float) -> None:
        self._media = media
        self._tell = tell
        self._on_lost = on_lost
        self._max_lead_s = max_lead_s
        self._loop = asyncio.get_running_loop()
        self._playout = Playout()
        self._watch = MarkWatch()
        self._live: str | None = None
        self._all_sent = False
        self._audible = False
        self._closed = False
        self._spoke = False
        self._sent_bytes = 0
        self._played = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self.on_progress: Callable[[str], None] | None = None
        """Told of the reply of which more is known: text given to the voice, or audio, or that this is all."""

    def begin(self, reply_id: str) -> None:
        """From now on this reply, and no other, may be heard."""
        self._live, self._all_sent, self._audible, self._sent_bytes = reply_id, False, False, 0
        self._unsent_bytes = 0

    def position_ms(self, reply_id: str) -> float:
        """How much audio of the reply was sent: where the next speech stream of it begins."""
        return self._sent_bytes / 8 if reply_id == self._live else 0.0

    async def until_played(self, timeout_s: float) -> None:
        """Until all that was sent was heard, or nothing is left to hear; at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._live is not None and self._audible and not self._closed:
                    self._played.clear()
                    await self._played.wait()
        except TimeoutError:
            return

    def said(self, reply_id: str, text: str) -> None:
        """Text went to the voice."""
        self._playout.said(reply_id, text)
        self._progress(reply_id)

    async def play(self, reply_id: str, spoken: SpokenAudio) -> bool:
        """Send audio, waiting while too much of it is at the carrier. False: the reply is not wanted any more."""
        if reply_id != self._live:
            return False
        self._playout.timed(reply_id, spoken.spans)
        self._unsent_bytes = len(spoken.audio)
        for start in range(0, len(spoken.audio), MESSAGE_BYTES):
            ahead_s = self._playout.buffered_s(self._loop.time()) - self._max_lead_s
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            if reply_id != self._live:
                return False
            self._send(reply_id, spoken.audio[start : start + MESSAGE_BYTES])
        return reply_id == self._live

    def finish(self, reply_id: str) -> None:
        """All audio of the reply was given to `play`."""
        if reply_id != self._live:
            return
        self._all_sent = True
        self._playout.completed(reply_id)
        self._progress(reply_id)
        if self._playout.is_played(reply_id):
            self._done(reply_id)

    def cut(self, reply_id: str) -> Heard:
        """Silence now: clear the carrier, fence the reply; what was heard of it."""
        now = self._loop.time()
        if reply_id == self._live:
            self._media.clear()
            self._playout.cleared(now)
            self._watch.cleared(now)
            self._look_later()
        return self.drop(reply_id)

    def drop(self, reply_id: str) -> Heard:
        """The reply is over, or will never be; what was heard of it."""
        heard = self._playout.heard(reply_id, self._loop.time())
        self._playout.forget(reply_id)
        if reply_id == self._live:
            self._live = None
            self._played.set()
        return heard

    def mark_returned(self, name: str) -> None:
        """The carrier played, or cleared, everything before this mark."""
        now = self._loop.time()
        self._playout.mark_returned(name, now)
        self._watch.returned(name, now)
        self._look_later()
        self._check_played()

    def heard(self, reply_id: str, *, whole_words: bool = False) -> Heard:
        """What was heard of the reply until now; `whole_words`: a word that was cut does not count."""
        return self._playout.heard(reply_id, self._loop.time(), whole_words=whole_words)

    def ahead(self, reply_id: str) -> tuple[int, list[tuple[int, float]]]:
        """See `Playout.ahead`."""
        return self._playout.ahead(reply_id, self._loop.time(), self._unsent_bytes / BYTES_PER_MS)

    def told_at(self, reply_id: str) -> float | None:
        """See `Playout.told_at`."""
        return self._playout.told_at(reply_id)

    def audible_at(self, reply_id: str) -> float | None:
        """When the caller began to hear it."""
        return self._playout.audible_at(reply_id)

    @property
    def unheard(self) -> bool:
        """Whether audio was sent on this stream and no mark proved any of it."""
        return self._spoke and not self._playout.proved

    def media_lost(self) -> None:
        """The stream is gone: what was heard until now is all that was heard, and no mark is waited for."""
        self._playout.lost(self._loop.time())
        self.close()

    def close(self) -> None:
        """The stream is over; how is known already."""
        self._closed = True
        self._played.set()
        self._disarm()

    def _send(self, reply_id: str, audio: bytes) -> None:
        """Audio and a mark behind it, so that what was heard is known to a fraction of a word."""
        now = self._loop.time()
        self._spoke = True
        self._media.send_audio(audio)
        self._playout.sent(reply_id, len(audio), now)
        self._sent_bytes += len(audio)
        self._unsent_bytes -= len(audio)
        self._progress(reply_id)
        name = self._playout.mark(reply_id, now)
        if name is not None:
            self._media.send_mark(name)
            self._watch.sent(name, self._playout.ends_at(reply_id) or now)
            self._look_later()
        if not self._audible:
            self._audible = True
            self._tell(ev.ReplyAudible(reply_id))

    def _check_played(self) -> None:
        reply_id = self._live
        if reply_id is None or not self._audible or not self._playout.is_played(reply_id):
            return
        if self._all_sent:
            self._done(reply_id)
        else:
            self._audible = False
            self._played.set()
            self._progress(reply_id)
            self._tell(ev.ReplyPaused(reply_id))

    def _progress(self, reply_id: str) -> None:
        if self.on_progress is not None and reply_id == self._live and self._sent_bytes:
            self.on_progress(reply_id)

    def _done(self, reply_id: str) -> None:
        self._tell(ev.ReplyDone(reply_id))

    def _look_later(self) -> None:
        """Look after the marks when one may be overdue. A deadline that moves on is followed once it was reached."""
        deadline = self._watch.deadline(self._playout.echo_s)
        if deadline is None or self._closed or (self._timer is not None and self._timer.when() <= deadline):
            return
        self._disarm()
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        match self._watch.verdict(now, self._playout.echo_s):
            case Verdict.PROBE:
                name = self._playout.probe(now)
                self._media.send_mark(name)
                self._watch.probed(name, now)
            case Verdict.LOST:
                self.media_lost()
                self._on_lost()
            case Verdict.WAIT:
                pass
        self._look_later()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
