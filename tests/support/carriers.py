"""A sandbox whose carriers ring a product that only listens: what its hooks were told, and with whose signature."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from calliope_sandbox.app import Sandbox, create_app

Json = dict[str, Any]
REJECT: Final = "<Response><Reject/></Response>"
SIGNING_KEY: Final = base64.b64encode(bytes(range(32))).decode()
CARRIERS: Final = ("twilio", "telnyx")


@dataclass(frozen=True, slots=True)
class Hook:
    """One, as it came in."""

    account: str
    called: str
    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(slots=True)
class Product:
    """The hooks that came, in order, by the account they name; every call is turned away."""

    url: str = ""
    hooks: "asyncio.Queue[Hook]" = field(default_factory=asyncio.Queue)

    async def twilio(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.hooks.put_nowait(Hook(form["AccountSid"], form["To"], form, request.headers))
        return web.Response(text=REJECT, content_type="text/xml")

    async def telnyx(self, request: web.Request) -> web.Response:
        payload = (await request.json())["data"]["payload"]
        self.hooks.put_nowait(Hook(payload["connection_id"], payload["to"], {}, request.headers))
        return web.Response(status=403)

    def account(self, carrier: str, name: str) -> Json:
        """As a number is registered with."""
        hook = f"{self.url}/{carrier}"
        if carrier == "twilio":
            return {"account_sid": f"AC{name}", "auth_token": f"token of {name}", "voice_url": hook}
        key = {"api_key": f"KEY{name}", "signing_key": SIGNING_KEY}
        return key | {"connection_id": f"application {name}", "webhook_url": hook}


@dataclass(slots=True)
class CarrierWorld:
    """A sandbox, the product that its carriers ring, and a client of the sandbox."""

    product: Product
    base: str
    http: ClientSession

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the sandbox's answer."""
        async with self.http.request(method, self.base + path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def register(self, carrier: str, number: str, account: Json) -> None:
        """This number belongs to that account."""
        assert (await self.ask("PUT", f"/sandbox/{carrier}/numbers/{quote(number)}", account))[0] == 200

    async def ring(self, carrier: str, number: str, **options: Any) -> tuple[int, Json]:
        """Somebody calls."""
        status, answer = await self.ask("POST", f"/sandbox/{carrier}/calls", {"to": number, **options})
        return status, answer

    async def asked(self, called: str) -> Hook:
        """The next hook of a call to this number."""
        async with asyncio.timeout(5):
            while (hook := await self.product.hooks.get()).called != called:
                continue
        return hook


@asynccontextmanager
async def carriers(*, default: str | None = "default", sandbox: Sandbox | None = None) -> AsyncIterator[CarrierWorld]:
    """A sandbox whose unregistered numbers belong to the account `default`, or to nobody."""
    product, app = Product(), web.Application()
    app.router.add_post("/twilio", product.twilio)
    app.router.add_post("/telnyx", product.telnyx)
    async with TestServer(app) as listening:
        product.url = str(listening.make_url("")).rstrip("/")
        accounts = {} if default is None else {name: product.account(name, default) for name in CARRIERS}
        async with TestServer(create_app(sandbox or Sandbox(accounts=accounts))) as server, ClientSession() as http:
            yield CarrierWorld(product, str(server.make_url("")).rstrip("/"), http)
