"""What others did on the cores while the bench measured."""

import os

import pytest

from calliope_local.bench.machine import Usage, own, usage, used

TICKS = os.sysconf("SC_CLK_TCK")


def a_process(parent: int, *times: int, name: str = "python") -> str:
    """`/proc/<pid>/stat` of a process that used so many seconds: user, system, and those of its children that ended."""
    ticks = " ".join(str(seconds * TICKS) for seconds in times)
    return f"7 ({name}) S {parent} 7 7 0 -1 4194304 100 0 0 0 {ticks} 20 0 1 0 300 1000 200"


def test_ours_are_this_process_and_all_below_it() -> None:
    processes = {
        10: a_process(1, 1, 2, 0, 4),
        11: a_process(10, 8, 0, 0, 0, name="with ) in (it"),
        12: a_process(11, 0, 16, 0, 0),
        13: a_process(1, 500, 0, 0, 0),
    }
    assert own(processes, 10) == 31


def test_a_core_that_waits_for_a_disk_is_idle_and_guests_count_once() -> None:
    counts = " ".join(str(seconds * TICKS) for seconds in (1, 2, 4, 100, 200, 8, 16, 32, 1000, 2000))
    assert used(f"cpu  {counts}\ncpu0 1 2 3\n") == 1 + 2 + 4 + 8 + 16 + 32


def test_what_is_not_ours_was_used_by_others() -> None:
    before, after = Usage(100.0, 10.0), Usage(130.0, 20.0)
    assert after.others_since(before, 10.0) == pytest.approx(2.0)
    assert Usage(130.0, 40.1).others_since(before, 10.0) == 0.0


def test_this_machine_is_read() -> None:
    now = usage()
    assert 0.0 < now.own_s < now.used_s
