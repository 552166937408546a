"""GET docs: the OpenAPI document as a page that needs nothing but itself. It runs no script and loads nothing."""

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from collector.intake.gateway.operations import OPERATIONS, SURFACES, Operation
from collector.intake.gateway.pages.examples import EXAMPLES
from collector.intake.gateway.pages.fields import FIELDS, REQUIRED
from collector.intake.gateway.pages.served import Asked, Reply, Sources
from collector.intake.gateway.pages.table import PAGES
from collector.intake.gateway.wishes import Preferences

MAX_MODELS_SHOWN = 50
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
pre { background: #8881; border-radius: .3rem; font-size: .85rem; overflow-x: auto; padding: .8rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; width: 100%; }
td, th { border-bottom: 1px solid #8884; padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
code { font-size: .9em; overflow-wrap: anywhere; }
nav a { display: inline-block; margin-right: 1rem; }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_KEY = "$OPENAI_API_KEY"


def page(sources: Sources, asked: Asked) -> Reply:
    """The page; every text that comes from outside is escaped."""
    models = list(sources.models.of(SURFACES[0], asked.now_us))
    body = "".join(
        (
            "<h1>callmeter</h1>",
            _intro(asked.host),
            f"<nav>{''.join(map(_link, (*(each.name for each in OPERATIONS), 'read')))}</nav>",
            *(_operation(each, asked.host) for each in OPERATIONS),
            _pages(),
            _models(models),
        )
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>callmeter: API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )
    return Reply(text.encode(), "text/html; charset=utf-8", HEADERS)


def _link(name: str) -> str:
    return f'<a href="#{name}">{name}</a>'


def _intro(host: str) -> str:
    base = f"http://{escape(host)}"
    rows = "".join(
        f"<tr><td><code>{base}{surface.prefix}</code></td><td>answers as {surface.error_shape}'s</td></tr>"
        for surface in SURFACES
    )
    return (
        f"<p>Set one of these as the base URL of your client; Anthropic's takes <code>{base}</code>.</p>"
        f"<table>{rows}</table><p>A request goes on to the provider as it was sent, with all its members."
        " Every answer names its call in <code>X-Callmeter-Call-Id</code>."
        ' The same as a document: <a href="/openapi.json">openapi.json</a>.</p>'
    )


def _operation(operation: Operation, host: str) -> str:
    paths = ", ".join(f"<code>POST {surface.prefix}{operation.path}</code>" for surface in SURFACES)
    examples = "".join(_example(operation, name, body, host) for name, body in EXAMPLES[operation.name].items())
    return f"<h2 id={operation.name}>{operation.name}</h2><p>{paths}</p>{examples}{_fields(operation)}"


def _example(operation: Operation, name: str, body: dict[str, Any], host: str) -> str:
    sent = json.dumps(body, indent=2)
    url = f"http://{host}{SURFACES[0].prefix}{operation.path}"
    command = f"curl {url} -H 'Content-Type: application/json' \\\n  -H \"Authorization: Bearer {_KEY}\" -d '{sent}'"
    return f"<h3>{escape(name)}</h3><pre>{escape(command)}</pre>"


def _fields(operation: Operation) -> str:
    rows = []
    for name, field in FIELDS[operation.name].items():
        kind = field.schema.get("type", "")
        types = kind if isinstance(kind, str) else " or ".join(each for each in kind if each != "null")
        needed = " (needed)" if name in REQUIRED[operation.name] else ""
        what = field.what
        if name == "provider":
            what += f" Members: {', '.join(Preferences.__struct_fields__)}."
        read = "callmeter" if field.is_read else "provider"
        cells = (f"<code>{escape(name)}</code>{needed}", escape(types), escape(what), read)
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<h3>Members</h3><table><tr><th>member<th>type<th>what it is<th>read by</tr>{''.join(rows)}</table>"


def _pages() -> str:
    rows = "".join(
        f"<tr><td><code>GET {escape(each.path)}</code></td><td>{escape(each.what)}</td></tr>" for each in PAGES
    )
    return f"<h2 id=read>Read</h2><table>{rows}</table>"


def _models(models: list[str]) -> str:
    shown = "".join(f"<li><code>{escape(model)}</code></li>" for model in models[:MAX_MODELS_SHOWN])
    more = f"<p>and {len(models) - MAX_MODELS_SHOWN} more</p>" if len(models) > MAX_MODELS_SHOWN else ""
    return f"<h2>Models that can be routed</h2><ul>{shown}</ul>{more}"
