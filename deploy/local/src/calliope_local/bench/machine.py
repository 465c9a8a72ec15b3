"""What the machine's cores did while a load ran: the bench's own processes, or others that make its times worth little.

Source: proc(5), `/proc/stat` and `/proc/<pid>/stat`.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _TIMES = 1, slice(11, 15)
"""Behind the name: the parent, and the time of the process and of its children that ended."""
_IDLE: Final = slice(3, 5)
_GUESTS: Final = 8
"""Of the fields of `cpu`, those from here on are counted in the first ones already."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of cores since the machine started: all that were used, and those of ours."""

    used_s: float
    own_s: float

    def others_since(self, before: "Usage", took_s: float) -> float:
        """How many cores others kept busy."""
        return max(0.0, (self.used_s - before.used_s) - (self.own_s - before.own_s)) / took_s


def usage() -> Usage:
    """Until now; ours are this process and all below it."""
    processes: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended
                processes[int(folder.name)] = (folder / "stat").read_text()
    return Usage(used(Path("/proc/stat").read_text()), own(processes, os.getpid()))


def used(stat: str) -> float:
    """Seconds that all cores together did not idle, from `/proc/stat`."""
    fields = [int(field) for field in stat.splitlines()[0].split()[1:]][:_GUESTS]
    return (sum(fields) - sum(fields[_IDLE])) / _TICKS


def own(processes: Mapping[int, str], root: int) -> float:
    """Seconds of `root` and of what it started, from the `stat` of every process."""
    fields = {pid: stat.rpartition(")")[2].split() for pid, stat in processes.items()}
    children: dict[int, list[int]] = {}
    for pid, each in fields.items():
        children.setdefault(int(each[_PARENT]), []).append(pid)
    return sum(int(ticks) for pid in _below(children, root) for ticks in fields[pid][_TIMES]) / _TICKS


def _below(children: Mapping[int, list[int]], root: int) -> Iterable[int]:
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found
