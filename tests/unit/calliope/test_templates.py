"""Variables in texts: found however they are spaced, filled in once, and told from braces that are only text."""

import re
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calliope.templates import Unreadable, Variable, fill, parts

NAMES: Final = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SIGNS: Final = st.text(alphabet="{}\\ ab.\n", max_size=60)
SPACES: Final = st.text(alphabet=" \t\n", max_size=3)


def escaped(text: str) -> str:
    """The text so that it is read as it stands."""
    return re.sub(r"(\\*)\{\{", lambda found: found[1] * 2 + r"\{{", text)


@given(st.text() | SIGNS)
@example("{{{{")
@example("\\\\{{")
def test_every_text_can_be_written(text: str) -> None:
    """But a backslash at the very end would join braces that follow."""
    assert fill(escaped(text), {"a": "never", "b": "never"}) == text


@given(SIGNS, NAMES, SPACES, SPACES, SIGNS, st.text() | SIGNS)
def test_a_variable_is_filled_in_once_with_any_value(
    before: str, name: str, left: str, right: str, after: str, value: str
) -> None:
    written = f"{escaped(before)} {{{{{left}{name}{right}}}}} {escaped(after)}"
    assert fill(written, {name: value}) == f"{before} {value} {after}"


@given(SIGNS)
def test_what_is_not_known_stays_as_it_is_written(text: str) -> None:
    unescaped = text.replace("\\", "")
    assert fill(unescaped, {}) == unescaped


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Call {{ caller.number }}.", "Call +1555."),
        ("Call {{caller.number}}{{caller.number}}", "Call +1555+1555"),
        (r"Write \{{name}}", "Write {{name}}"),
        (r"C:\\{{caller.number}}", "C:\\+1555"),
        (r"a \ b \\ {c} }}", r"a \ b \\ {c} }}"),
        ("{{me}}", "{{me}}"),
    ],
)
def test_a_text_reads_as_it_is_meant(text: str, said: str) -> None:
    assert fill(text, {"caller.number": "+1555", "me": "{{me}}"}) == said


@pytest.mark.parametrize("text", ["{{", "{{}}", "{{ two words }}", "{{3}}", '{{"a": 1}}', "{{name}"])
def test_braces_without_a_name_are_unreadable(text: str) -> None:
    assert [part for part in parts(text) if not isinstance(part, str)] == [Unreadable()]


def test_a_long_text_of_signs_is_read_in_a_moment() -> None:
    """A pattern that looks back over them would take minutes."""
    assert fill("\\" * 200_000 + "{{" + " " * 200_000, {}) == "\\" * 100_000 + "{{" + " " * 200_000
    assert [part for part in parts("{{ a " * 50_000) if isinstance(part, Variable)] == []
