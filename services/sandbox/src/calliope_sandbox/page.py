"""The page at `/`: vendors, switches and one command each, made from what the app serves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from typing import Any, Final

from aiohttp import web

from calliope_sandbox.callers import KINDS as STEPS
from calliope_sandbox.endpoints import ASK, ENDPOINTS, Endpoint
from calliope_sandbox.faults import KINDS as FAULTS
from calliope_sandbox.knobs import Knobs

CONTROLS: Final = "/sandbox/"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --quiet: light-dark(#555, #aaa); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; } .quiet { color: var(--quiet); }
pre { margin: .2rem 0 1rem; padding: .5rem .7rem; background: var(--soft); border-radius: .3rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre, code { font: .85rem/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; } td { padding: .3rem .8rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 0 1rem; }
"""
_HEAD: Final = (
    "Every vendor that Calliope talks to, on this machine, with callers who speak. Nothing here leaves it, no key is "
    "real, and what is set is forgotten when the sandbox stops. Each command works as it stands."
)


@dataclass(frozen=True, slots=True)
class Vendor:
    """What one is, and its routes."""

    about: str
    routes: Sequence[web.AbstractRoute]


def mount(app: web.Application, vendors: Sequence[Vendor], knobs: Knobs, faulty: Iterable[str]) -> None:
    """Serve the page; `faulty` are the names that faults may strike."""

    async def show(request: web.Request) -> web.Response:
        endpoints: list[Endpoint] = app[ENDPOINTS]
        text = render(str(request.url.origin()), endpoints, vendors, knobs, faulty)
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    app.router.add_get("/", show)


def render(
    base: str, endpoints: Sequence[Endpoint], vendors: Sequence[Vendor], knobs: Knobs, faulty: Iterable[str]
) -> str:
    """HTML that asks nothing of the network."""
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        groups.setdefault(endpoint.group, []).append(endpoint)
    asks = {example.says: example for example in groups.pop(ASK, [])}
    notes = {
        "Faults": f"Kinds: {_codes(FAULTS)}. Vendors: {_codes(sorted(faulty))}.",
        "Knobs": _knobs(knobs),
    }
    steps = f"Steps of a script: {_codes(STEPS)}."
    sections = [
        _section(name, group, base, notes.get(name, steps if _places_calls(group) else ""))
        for name, group in groups.items()
    ]
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in (*groups, ASK))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Calliope's sandbox</title><style>{_STYLE}</style>"
        f"<h1>Calliope's sandbox</h1><p>{escape(_HEAD)}</p><nav>{links}</nav>"
        f"{''.join(sections)}{_vendors(base, vendors, asks)}</html>\n"
    )


def _places_calls(group: Sequence[Endpoint]) -> bool:
    return any(endpoint.path.endswith("/calls") for endpoint in group)


def _section(name: str, endpoints: Iterable[Endpoint], base: str, note: str) -> str:
    commands = "".join(f"<p>{escape(one.says)}</p><pre>{escape(one.curl(base))}</pre>" for one in endpoints)
    told = f'<p class="quiet">{note}</p>' if note else ""
    return f'<h2 id="{_anchor(name)}">{escape(name)}</h2>{told}{commands}'


def _vendors(base: str, vendors: Iterable[Vendor], asks: Mapping[str, Endpoint]) -> str:
    rows = "".join(f"<tr><td>{escape(one.about)}<td>{_addresses(base, one.routes)}" for one in vendors)
    commands = "".join(f"<p>Ask {escape(name)}.</p><pre>{escape(ask.curl(base))}</pre>" for name, ask in asks.items())
    return f'<h2 id="{_anchor(ASK)}">{ASK}</h2><table>{rows}</table>{commands}'


def _addresses(base: str, routes: Iterable[web.AbstractRoute]) -> str:
    shown = [
        f"<code>{route.method} {escape(base + route.resource.canonical)}</code>"
        for route in routes
        if route.resource is not None and not route.resource.canonical.startswith(CONTROLS) and route.method != "HEAD"
    ]
    return "<br>".join(shown)


def _knobs(knobs: Knobs) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(vendor.name)}</code><td>{_values(getattr(knobs, vendor.name))}"
        for vendor in fields(knobs)
    )
    return f"<details><summary>Every knob, with its value now</summary><table>{rows}</table></details>"


def _values(group: Any) -> str:
    return ", ".join(f"<code>{escape(f'{name}={value!r}')}</code>" for name, value in asdict(group).items())


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
