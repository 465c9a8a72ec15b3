"""Arguments of a tool call: the model's text becomes a checked object, or words that tell the model what is wrong."""

from typing import Any, Final

from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from calliope_call_worker.providers.llm.lenient import read_arguments

MAX_CHARACTERS: Final = 16_384  # checking and journalling them must not take long while callers wait


def parse(arguments: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments; nothing a schema refers to is fetched. Raises: ValueError, with words for the model."""
    if len(arguments) > MAX_CHARACTERS:
        raise ValueError(f"the arguments are longer than {MAX_CHARACTERS} characters")
    try:
        value = read_arguments(arguments)
    except ValueError as exc:
        raise ValueError("the arguments are not JSON") from exc
    if not isinstance(value, dict):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004 - the model sent it, not our code
    validator = validator_for(schema)(schema, registry=Registry())
    try:
        error = next(iter(sorted(validator.iter_errors(value), key=lambda e: list(e.path))), None)
    except (Unresolvable, RecursionError) as exc:
        raise ValueError("the tool's own schema is broken, so it cannot be used") from exc
    if error is not None:
        where = ".".join(map(str, error.path)) or "arguments"
        raise ValueError(f"{where}: {error.message}")
    return value
