"""Ports of a stack that is started again and again in one folder: the usual ones, and the same ones each time.

`ports.json` in the folder keeps what was chosen, so that an address in somebody's configuration stays true. Those with
a usual port go back to it when it is free again, as documentation and examples name it.
"""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from calliope_local.environment import PORT_NAMES
from calliope_local.keys import write_private
from calliope_local.probes import free_ports, is_free

FILE: Final = "ports.json"
USUAL: Final[Mapping[str, int]] = {"nats": 4222, "gateway": 8080, "sandbox": 8090, "proxy": 8095}
"""Where documentation and examples say that they are."""
VARIABLES: Final = {name: f"CALLIOPE_{name.upper()}_PORT" for name in USUAL}
"""What asks for another one; 0 asks for any free one."""
HIGHEST: Final = 65_535


class PortError(ValueError):
    """A port that was asked for cannot be one; the message names the variable."""


def choose_ports(
    folder: Path, environment: Mapping[str, str], *, free: Callable[[int], bool] = is_free
) -> tuple[dict[str, int], list[str]]:
    """A port for every name, kept in `folder`, and a sentence for each that is not the one it should be.

    One that had to move goes back as soon as the port that it should have is free. Raises: PortError; OSError, when
    no port is free.
    """
    kept, chosen, taken = _kept(folder / FILE), dict[str, int](), dict[str, int]()
    asked = {name: port for name in PORT_NAMES if (port := _asked(name, environment)) is not None}
    for name in sorted(PORT_NAMES, key=lambda name: not asked.get(name)):  # who is asked for comes first
        wanted = asked.get(name) or (USUAL.get(name) if name not in asked else None) or kept.get(name)
        if wanted and (wanted in chosen.values() or not free(wanted)):
            taken[name] = wanted
        elif wanted:
            chosen[name] = wanted
    for name in PORT_NAMES:
        if name not in chosen:
            before = kept.get(name)
            stays = (
                before is not None and before != taken.get(name) and before not in {*chosen.values(), *asked.values()}
            )
            chosen[name] = (
                before
                if before is not None and stays and free(before)
                else _another([*chosen.values(), *kept.values(), *USUAL.values()])
            )
    if chosen != kept:
        write_private(folder / FILE, chosen)
    return chosen, [_moved(name, port, chosen) for name, port in taken.items()]


def _moved(name: str, port: int, chosen: Mapping[str, int]) -> str:
    """Why it is somewhere else, and for how long."""
    by = next((other for other in chosen if chosen[other] == port), None)
    back = f", until {port} is free at a start" if name in USUAL else " from now on"
    return f"Port {port} is taken by {by or 'another program'}; {name} takes {chosen[name]}{back}."


def _asked(name: str, environment: Mapping[str, str]) -> int | None:
    variable = VARIABLES.get(name)
    text = environment.get(variable, "") if variable else ""
    if not text:
        return None
    if not text.isdecimal() or int(text) > HIGHEST:
        raise PortError(f"{variable}={text} is no port: use a number up to {HIGHEST}, or 0 for any free one")
    return int(text)


def _kept(file: Path) -> dict[str, int]:
    """What this folder used last; nothing, when the file cannot be understood: then it is written anew."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: port for name, port in stored.items() if name in PORT_NAMES and _is_port(port)}


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= HIGHEST


def _another(avoid: Collection[int]) -> int:
    return next(port for port in free_ports(len(avoid) + 1) if port not in avoid)
