"""What Inworld tells of its voices, in two pages."""

from typing import Final

from aiohttp import web

from calliope_sandbox.json_http import as_json
from calliope_sandbox.vendors.host import Host, Trouble
from calliope_sandbox.vendors.rest import answered

VENDOR: Final = "inworld"
EXHAUSTED, UNAVAILABLE, UNAUTHENTICATED = 8, 14, 16  # gRPC codes
_SECOND_PAGE: Final = "2"
_NAMES: Final = (
    "Alex Ashley Blake Carter Clive Craig Deborah Dennis Dominus Edward Elizabeth Hades Hana Julia Luna Mark Olivia"
    " Pixie Priya Ronald Sarah Shaun Theodore Timothy Wendy"
)


def refusal(status: int, code: int, words: str) -> web.Response:
    """An error of the API."""
    return as_json({"code": code, "message": words, "details": []}, status)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /inworld."""

    async def voices(request: web.Request) -> web.Response:
        """GET /voices/v1/voices."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme not in {"Basic", "Bearer"} or not key or key.startswith(host.knobs.inworld.rejected_keys):
            return refusal(401, UNAUTHENTICATED, "invalid authorization")

        def failed(trouble: Trouble) -> web.Response:
            return refusal(trouble.status, EXHAUSTED if trouble.status == 429 else UNAVAILABLE, trouble.reason)

        return await answered(request, host, VENDOR, key=key, failed=failed, answer=lambda: _page(request))

    app.router.add_get("/inworld/voices/v1/voices", voices)


def _page(request: web.Request) -> web.Response:
    names, later = _NAMES.split(), request.query.get("pageToken") == _SECOND_PAGE
    half = len(names) // 2
    voices = [
        {"voiceId": name, "displayName": name, "langCode": "EN_US", "source": "SYSTEM"}
        for name in (names[half:] if later else names[:half])
    ]
    return as_json({"voices": voices, "nextPageToken": "" if later else _SECOND_PAGE})
