"""Where in a stream a moment lies. Who asks gives the deadline and translates errors."""

from datetime import datetime

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError


async def first_since(jetstream: JetStreamContext, stream: str, since: datetime) -> int:
    """The number of the first message stored at or after a moment, else the one that the next message gets.

    Found by halving: numbers grow with time.
    """
    try:
        state = (await jetstream.stream_info(stream)).state
    except NotFoundError:
        return 1
    low, high = state.first_seq, state.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        try:
            found = await jetstream.get_msg(stream, seq=middle, subject=">", next=True)
        except NotFoundError:
            found = None
        if found is None or (found.time is not None and found.time >= since):
            high = middle
        else:
            low = int(found.seq or middle) + 1
    return low
