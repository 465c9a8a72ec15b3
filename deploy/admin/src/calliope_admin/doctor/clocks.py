"""Whether clocks agree. Pure."""

from typing import Final

from calliope_admin.doctor.findings import About, Finding, well, wrong

APART_S: Final = 2.0
"""Beyond it deadlines of commands, signatures of carriers and expiring keys go wrong."""


def clock_finding(whose: str, ahead_s: float) -> Finding:
    """Of a clock that is so many seconds ahead of this machine's, or behind it, when negative."""
    if abs(ahead_s) <= APART_S:
        return well(About.CLOCKS, f"The clocks of {whose} and of this machine agree.")
    direction = "ahead of" if ahead_s > 0 else "behind"
    words = f"The clock of {whose} is {abs(ahead_s):.1f} s {direction} the one of this machine."
    return wrong(About.CLOCKS, words, "run a time service (chrony, systemd-timesyncd) on both machines")
