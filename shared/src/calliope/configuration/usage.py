"""The page that `--help` prints: what a service does, and every environment variable, the needed ones first."""

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from pydantic_settings import BaseSettings

from calliope.configuration.checks import problems
from calliope.configuration.variables import Variable, variables
from calliope.settings import Environment

WIDTH: Final = 100


def page(settings: type[BaseSettings]) -> str:
    """All variables of a service, grouped."""
    every = list(variables(settings))
    always, production = needed(settings)
    first = [each for each in every if each.name in always | production]
    rest = [each for each in every if each.name not in always | production]
    rest.sort(key=lambda each: each.group != "")  # those of no group first; else the order of the model
    sections = [_section("Needed at every start" if not production else "Needed", "", _needed(first, always))]
    for (group, about), members in groupby(rest, key=lambda each: (each.group, each.about)):
        sections.append(_section(f"{group}…" if group else "General", about, map(_entry, members)))
    return "\n\n".join(section for section in sections if section)


def needed(settings: type[BaseSettings]) -> tuple[frozenset[str], frozenset[str]]:
    """Variables without which it does not start: anywhere, and in production. Asked of the checks themselves."""
    bare = settings.model_construct()
    anywhere = frozenset(each.variable for each in problems(bare))
    live = bare.model_copy(update={"environment": Environment.PRODUCTION})
    return anywhere, frozenset(each.variable for each in problems(live)) - anywhere


def _needed(members: list[Variable], always: frozenset[str]) -> Iterator[str]:
    for each in members:
        when = "" if each.name in always else " Needed with CALLIOPE_ENVIRONMENT=production."
        yield _entry(each._replace(meaning=each.meaning + when))


def _section(title: str, about: str, entries: Iterator[str]) -> str:
    lines = list(entries)
    head = f"{title}  {about}".rstrip()
    return "\n".join([head, *lines]) if lines else ""


def _entry(variable: Variable) -> str:
    default = f" [{variable.default}]" if variable.default else ""
    meaning = textwrap.fill(variable.meaning, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"  {variable.name}{default}\n{meaning}".rstrip()
