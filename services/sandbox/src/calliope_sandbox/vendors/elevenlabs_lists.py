"""What ElevenLabs tells of its voices and models."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from calliope_sandbox.json_http import as_json
from calliope_sandbox.vendors.host import Host, Trouble
from calliope_sandbox.vendors.rest import MISSING, answered

VENDOR: Final = "elevenlabs"
_NOT_FOR_SPEECH: Final = "eleven_english_sts_v2"
_MODELS: Final = (
    "eleven_v3",
    "eleven_multilingual_v2",
    "eleven_flash_v2_5",
    "eleven_turbo_v2_5",
    "eleven_turbo_v2",
    "eleven_flash_v2",
    _NOT_FOR_SPEECH,
)


def refusal(status: int, code: str, words: str) -> web.Response:
    """An error of the API."""
    return as_json({"detail": {"status": code, "message": words}}, status)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /elevenlabs."""
    app.router.add_get("/elevenlabs/v1/voices/{voice_id}", _told(host, _voice))
    app.router.add_get("/elevenlabs/v1/models", _told(host, lambda _: as_json([_model(name) for name in _MODELS])))


def _told(host: Host, tell: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """What is told to those whose key may read it."""

    async def handle(request: web.Request) -> web.Response:
        knobs, key = host.knobs.elevenlabs, request.headers.get("xi-api-key", "")
        if not key or key.startswith(knobs.rejected_keys):
            return refusal(401, "invalid_api_key", "Invalid API key")
        if key.startswith(knobs.speaking_keys):
            return refusal(401, "missing_permissions", "The API key you used is missing the permission voices_read")

        def failed(trouble: Trouble) -> web.Response:
            code = "too_many_concurrent_requests" if trouble.status == 429 else trouble.code or "internal"
            return refusal(trouble.status, code, trouble.reason)

        return await answered(request, host, VENDOR, key=key, failed=failed, answer=lambda: tell(request))

    return handle


def _voice(request: web.Request) -> web.Response:
    voice_id = request.match_info["voice_id"]
    if voice_id.startswith(MISSING):
        return refusal(400, "voice_not_found", f"A voice with the voice_id {voice_id} was not found.")
    return as_json({"voice_id": voice_id, "name": voice_id, "category": "premade", "labels": {}, "settings": None})


def _model(name: str) -> dict[str, Any]:
    return {"model_id": name, "name": name, "can_do_text_to_speech": name != _NOT_FOR_SPEECH, "languages": []}
