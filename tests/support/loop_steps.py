"""How long the event loop was held by its longest step, in time of the processor: other processes do not count."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(slots=True)
class Steps:
    """What was seen of the loop."""

    count: int = 0
    longest_s: float = 0.0


@contextmanager
def watched_steps() -> Iterator[Steps]:
    """Every step that this thread's loop makes in this block. Garbage is collected before, not in between."""
    seen, run, here = Steps(), asyncio.Handle._run, threading.get_ident()

    def measured(handle: asyncio.Handle) -> Any:
        if threading.get_ident() != here:
            return run(handle)
        began = time.thread_time()
        try:
            return run(handle)
        finally:
            seen.count += 1
            seen.longest_s = max(seen.longest_s, time.thread_time() - began)

    gc.collect()
    gc.disable()
    try:
        with patch.object(asyncio.Handle, "_run", measured):
            yield seen
    finally:
        gc.enable()
