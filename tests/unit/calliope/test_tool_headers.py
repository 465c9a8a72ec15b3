"""Headers of a custom tool: every legal name is taken, what would not be sent as written is refused in words."""

from typing import Any

import pytest
from pydantic import ValidationError

from calliope.contracts.base import STORED
from calliope.contracts.document.tools import CustomTool
from calliope.validation.problems import field_problems
from support.plain_words import riddles

TOOL: dict[str, Any] = {"name": "rooms", "description": "Free rooms.", "url": "https://example.com/rooms"}


def plain(tool: CustomTool) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in tool.headers.items()}


def refusal(headers: dict[str, str], **more: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        CustomTool.model_validate({**TOOL, "headers": headers, **more})
    (problem,) = field_problems(caught.value, CustomTool)
    assert riddles(problem.message) == []
    return problem.path, problem.message


@pytest.mark.parametrize("name", ["x_api_key", "X-Hotel", "accept", "User-Agent", "x.y~z", "Authorization", "1st"])
def test_every_legal_name_is_taken(name: str) -> None:
    assert plain(CustomTool.model_validate({**TOOL, "headers": {name: "k 1"}})) == {name: "k 1"}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x key": "1"}, "is no name of a header"),
        ({"": "1"}, "is no name of a header"),
        ({"schlüssel": "1"}, "is no name of a header"),
        ({"x:y": "1"}, "is no name of a header"),
        ({"HOST": "1"}, "'HOST' cannot be set: it follows from the url"),
        ({"Content-Type": "text/xml"}, "always sent as JSON"),
        ({"accept-encoding": "br"}, "asks for what it can unpack"),
        ({"TE": "trailers"}, "about the connection"),
        ({"X-Hotel": "1", "x-hotel": "2"}, "are the same header"),
        ({"X-Hotel": "a\r\nb: c"}, "printable ASCII"),
        ({"X-Hotel": " a"}, "begins or ends with a blank"),
    ],
)
def test_what_cannot_be_sent_as_written_is_refused_in_words(headers: dict[str, str], words: str) -> None:
    path, message = refusal(headers)
    assert path == "headers"
    assert words in message


def test_a_header_that_the_token_would_replace_is_refused() -> None:
    assert refusal({"authorization": "Basic x"}, auth_token="t") == (
        "headers",
        "'authorization' is set by auth_token; keep one of them",
    )


def test_what_was_stored_before_a_rule_came_is_not_taken_back() -> None:
    stored = CustomTool.model_validate({**TOOL, "headers": {"TE": "trailers"}}, context=STORED)
    assert plain(stored) == {"TE": "trailers"}


def test_a_refusal_never_shows_a_value() -> None:
    path, message = refusal({"X-Key": "canary\n"})
    assert path == "headers"
    assert "canary" not in message
