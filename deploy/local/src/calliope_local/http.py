"""Small synchronous JSON over HTTP, for the demonstration and the bench: standard library, bounded waits."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any


class HttpError(RuntimeError):
    """An answer that is not 2xx; the message has what the server said. `status` 0: there was no answer."""

    def __init__(self, message: str, *, status: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body

    def sentences(self) -> str:
        """What the server said for people: its sentence, then a line for each field that is to blame."""
        try:
            problem = json.loads(self.body)
            fields = [field_line(one) for one in problem.get("errors", ())]
            return "\n".join([str(problem.get("detail") or problem["error"]), *fields])
        except (ValueError, KeyError, TypeError, AttributeError):
            return str(self)


def field_line(field: dict[str, Any]) -> str:
    """What the API says of one field of a document, as a line."""
    hint = field.get("hint")
    return f"  {field['path']}: {field['message']}" + (f" ({hint})" if hint else "")


def request(method: str, url: str, body: object = None, *, key: str | None = None, timeout_s: float = 15.0) -> Any:
    """The parsed answer. Raises: HttpError."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    ask = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - addresses of our stack
    try:
        with urllib.request.urlopen(ask, timeout=timeout_s) as answer:  # noqa: S310
            text = answer.read()
    except urllib.error.HTTPError as exc:
        said = exc.read().decode(errors="replace")
        raise HttpError(f"{method} {url}: {exc.code} {said[:2_000]}", status=exc.code, body=said) from exc
    except OSError as exc:
        raise HttpError(f"{method} {url}: {exc}") from exc
    return json.loads(text) if text else None


def lines(url: str, *, timeout_s: float = 60.0) -> Iterator[dict[str, Any]]:
    """Newline-delimited JSON as it comes."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310
        for line in answer:
            if line.strip():
                yield json.loads(line)


def quoted(text: str) -> str:
    """For a path."""
    return urllib.parse.quote(text, safe="")
