"""Arguments of a tool call: the model's text becomes a checked object, or words that tell the model what is wrong."""

from typing import Any

import orjson
from jsonschema.validators import validator_for


def parse(arguments: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments. Raises: ValueError, with words for the model."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError as exc:
        raise ValueError("the arguments are not JSON") from exc
    if not isinstance(value, dict):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004 - the model sent it, not our code
    error = next(iter(sorted(validator_for(schema)(schema).iter_errors(value), key=lambda e: list(e.path))), None)
    if error is not None:
        where = ".".join(map(str, error.path)) or "arguments"
        raise ValueError(f"{where}: {error.message}")
    return value
