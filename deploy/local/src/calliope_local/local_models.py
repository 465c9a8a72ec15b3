"""Finds a server of language models on this machine: Ollama, LM Studio, or whichever address was given."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

WELL_KNOWN: Final = {"Ollama": "http://127.0.0.1:11434/v1", "LM Studio": "http://127.0.0.1:1234/v1"}
LOOK_S: Final = 0.5
"""For an address that nobody gave; something else may listen there."""
ASK_S: Final = 5.0
MAX_BYTES: Final = 1024 * 1024
MAX_MODELS: Final = 200
OFF: Final = "off"
AUTO: Final = "auto"


class ModelServerError(RuntimeError):
    """The server that was asked for cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server that speaks chat completions, the models it has, and the one for documents that name another."""

    name: str
    url: str
    models: tuple[str, ...]
    model: str
    api_key: str = "local"

    def variables(self, prefix: str) -> dict[str, str]:
        """Makes it answer in the place of the vendor whose variables begin with `prefix`."""
        return {
            f"{prefix}URL": self.url,
            f"{prefix}API_KEY": self.api_key,
            f"{prefix}MODEL": self.model,
            f"{prefix}MODELS": json.dumps(self.models),
            f"{prefix}CHAT_COMPLETIONS": "true",
        }


def model_server(llm: str | None, model: str | None = None, api_key: str | None = None) -> ModelServer | None:
    """The server to use: at an address, found by itself with `auto`, none otherwise. Raises: ModelServerError."""
    if llm in (None, "", OFF):
        return None
    if llm == AUTO:
        found = look_around(model)
        if found is None:
            places = " nor ".join(f"{name} at {url}" for name, url in WELL_KNOWN.items())
            raise ModelServerError(f"LLM=auto: neither {places} has a model. Start one, or give LLM=http://…/v1")
        return found
    parts = urlsplit(llm)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ModelServerError(
            f"LLM={llm} cannot be used: give an address such as http://localhost:11434/v1, auto or off"
        )
    url = llm.rstrip("/")
    try:
        models = _models(url, api_key, ASK_S)
    except ModelServerError as exc:
        raise ModelServerError(f"LLM={llm}: {exc}") from exc.__cause__
    return _chosen(parts.netloc, url, models, model, api_key)


def look_around(
    model: str | None = None, *, places: Mapping[str, str] = WELL_KNOWN, within_s: float = LOOK_S
) -> ModelServer | None:
    """The first server on this machine, at its usual address, that has a model."""
    for name, url in places.items():
        try:
            models = _models(url, None, within_s)
            return _chosen(name, url, models, model if model in models else None, None)
        except ModelServerError:
            continue
    return None


def _chosen(name: str, url: str, models: list[str], model: str | None, api_key: str | None) -> ModelServer:
    if not models and model is None:
        raise ModelServerError(
            f"LLM={url}: it has no model yet (Ollama: ollama pull llama3.2), or name it: LLM_MODEL=…"
        )
    if model is not None and models and model not in models:
        raise ModelServerError(f"LLM_MODEL={model}: {name} does not have it; it has {', '.join(models[:10])}")
    return ModelServer(name, url, tuple(models), model or models[0], api_key or "local")


def _models(url: str, api_key: str | None, within_s: float) -> list[str]:
    """Raises: ModelServerError."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    ask = urllib.request.Request(f"{url}/models", headers=headers)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(ask, timeout=within_s) as answer:  # noqa: S310
            body: Any = json.loads(answer.read(MAX_BYTES))
        return _names(body)
    except urllib.error.HTTPError as exc:
        hint = "; give its key: LLM_API_KEY=…" if exc.code in {401, 403} else "; does the address end with /v1?"
        raise ModelServerError(f"GET {url}/models was answered with {exc.code}{hint}") from exc
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise ModelServerError(f"no server of language models answers at {url}/models ({exc})") from exc


def _names(body: Any) -> list[str]:
    """Names as documents may write them: Ollama takes `llama3.2` for `llama3.2:latest`."""
    chat = [name for model in body["data"][:MAX_MODELS] if "embed" not in (name := str(model["id"]))]
    return list(dict.fromkeys((*chat, *(name.removesuffix(":latest") for name in chat))))
