"""Arguments of a tool call: the model's text becomes an object, or words that tell the model what is wrong. Pure."""

from typing import Any, Final

from calliope_call_worker.providers.llm.lenient import read_arguments

MAX_CHARACTERS: Final = 16_384  # checking and journalling them must not take long while callers wait
MAX_VALUES: Final = 2_000  # as above: 16 KB of empty lists are thousands of objects


def read_object(arguments: str) -> dict[str, Any]:
    """The arguments, not checked yet. Raises: ValueError, with words for the model."""
    if len(arguments) > MAX_CHARACTERS:
        raise ValueError(f"the arguments are longer than {MAX_CHARACTERS} characters")
    try:
        value = read_arguments(arguments)
    except ValueError as exc:
        raise ValueError("the arguments are not JSON") from exc
    if not isinstance(value, dict):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004 - the model sent it, not our code
    if _values(value, MAX_VALUES) > MAX_VALUES:
        raise ValueError(f"the arguments hold more than {MAX_VALUES} values")
    return value


def _values(value: Any, most: int) -> int:
    """How many values it holds; more than `most` are not counted to their end."""
    found, waiting = 0, [value]
    while waiting and found <= most:
        one = waiting.pop()
        found += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found
