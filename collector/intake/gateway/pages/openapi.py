"""GET openapi.json: the document of all that is served, made from the tables that serve it."""

from importlib import import_module
from typing import Any

import msgspec

from collector import __version__
from collector.intake.gateway.errors import OPENROUTER_TYPES
from collector.intake.gateway.operations import OPERATIONS, SURFACES, Operation, Surface, error_shape_of
from collector.intake.gateway.pages.examples import EXAMPLES
from collector.intake.gateway.pages.fields import FIELDS, REQUIRED
from collector.intake.gateway.pages.query import Param
from collector.intake.gateway.pages.served import Asked, Reply, Sources, json_reply
from collector.intake.gateway.pages.table import PAGES, ROOM, Page
from collector.intake.gateway.wishes import Preferences

Json = dict[str, Any]
JSON, EVENTS = "application/json", "text/event-stream"
_REFUSED = (400, 401, 402, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504, 529)
_STATES = {"/healthz": "The process answers.", "/readyz": "Whether new calls are taken; 503 while it stops."}
_KINDS: dict[str, Json] = {
    "text": {"type": "string"},
    "names": {"type": "string", "description": "comma-separated"},
    "whole": {"type": "integer"},
    "number": {"type": "number"},
}


def page(sources: Sources, asked: Asked) -> Reply:
    """The document in JSON."""
    return json_reply(document())


def document() -> Json:
    """OpenAPI 3.1."""
    paths: dict[str, Json] = {
        surface.prefix + each.path: {"post": _operation(surface, each)} for surface in SURFACES for each in OPERATIONS
    }
    for each in PAGES:
        paths.setdefault(each.path.replace("...", ""), {"get": _page(each)})
    paths |= {path: {"get": {"summary": what, "responses": {"200": _json({})}}} for path, what in _STATES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "callmeter", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {"ProviderPreferences": _preferences(), **_errors()}, "securitySchemes": _KEYS},
        "security": [{}, {"bearer": []}, {"x-api-key": []}],
    }


_ABOUT = (
    "Calls go on to the providers as they came; members that are not documented do too. Every call is recorded:"
    " its id, provider and cost are in the headers X-Callmeter-Call-Id, X-Callmeter-Provider and X-Callmeter-Cost-Usd."
)
_KEYS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def request_schema(operation: Operation) -> Json:
    """The schema of an operation's request."""
    properties: Json = {}
    for name, field in FIELDS[operation.name].items():
        what = f"{field.what} Read by callmeter." if field.is_read else field.what
        properties[name] = {**field.schema, "description": what}
    properties["provider"] = {
        "anyOf": [{"$ref": "#/components/schemas/ProviderPreferences"}, {"type": "null"}],
        "description": FIELDS[operation.name]["provider"].what,
    }
    required = {"required": list(REQUIRED[operation.name])}
    named = {"anyOf": [{"required": ["model"]}, {"required": ["models"]}]}
    return {"type": "object", "properties": properties, **required, **named, "additionalProperties": True}


def _operation(surface: Surface, operation: Operation) -> Json:
    examples = {name: {"value": example} for name, example in EXAMPLES[operation.name].items()}
    answers: Json = {JSON: {"schema": {"type": "object"}}}
    if operation.can_stream:
        answers[EVENTS] = {"schema": {"type": "string"}}
    shape = error_shape_of(surface, operation)
    return {
        "operationId": f"{operation.name}{surface.prefix.replace('/', '_')}",
        "summary": f"{operation.name}, for providers of kind {' or '.join(operation.kinds)}",
        "tags": [operation.name],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": request_schema(operation), "examples": examples}},
        },
        "responses": {
            "200": {"description": "The provider's own answer, plain or streamed.", "content": answers},
            **{str(status): _refused(shape) for status in _REFUSED},
        },
    }


def _page(page: Page) -> Json:
    module, _, function = page.handler.partition(":")
    known: dict[str, Param] = getattr(import_module(ROOM + module), "QUERY", {}).get(function, {})
    parameters = [
        *(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in page.pattern.groupindex
        ),
        *({"name": name, "in": "query", "schema": _schema(param)} for name, param in known.items()),
    ]
    shape = page.surface.error_shape
    return {
        "operationId": f"{module}_{function}{page.path}".translate(_PLAIN),
        "summary": page.what,
        "parameters": parameters,
        "responses": {
            "200": {"description": page.what, "content": {page.kind: {"schema": {}}}},
            **{str(status): _refused(shape) for status in (400, 403, 404, 414, 503)},
        },
    }


_PLAIN = str.maketrans({"/": "_", "{": "", "}": "", ".": "_"})


def _schema(param: Param) -> Json:
    schema: Json = dict(_KINDS[param.kind])
    if param.nullable:
        schema["type"] = [schema["type"], "null"]
    bounds = {"minimum": param.least, "maximum": param.most, "enum": list(param.choices) or None}
    return schema | {name: value for name, value in bounds.items() if value is not None}


def _preferences() -> Json:
    """What may stand in `provider`, by the type that it is read as."""
    (schemas, parts) = msgspec.json.schema_components([Preferences], ref_template="#/components/schemas/{name}")
    inlined = {f"#/components/schemas/{name}": part for name, part in parts.items()}
    found = _inlined(schemas[0], inlined)
    assert isinstance(found, dict)
    return found


def _inlined(schema: Any, parts: dict[str, Json]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": ["number", "string"]}
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    return {name: _inlined(each, parts) for name, each in schema.items()}


def _errors() -> dict[str, Json]:
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    openai = {"message": text, "type": text, "param": maybe, "code": maybe}
    words = {"error_type": {"enum": sorted(OPENROUTER_TYPES)}, "reason": text, "provider_name": text, "param": text}
    openrouter = {"code": {"type": "integer"}, "message": text, "metadata": {"type": "object", "properties": words}}
    anthropic = {"type": text, "message": text}
    return {
        "openai-error": _object({"error": _object(openai)}),
        "openrouter-error": _object({"error": _object(openrouter)}),
        "anthropic-error": _object({"type": {"const": "error"}, "error": _object(anthropic), "request_id": maybe}),
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _refused(shape: str) -> Json:
    return _json({"$ref": f"#/components/schemas/{shape}-error"}, "An error.")


def _json(schema: Json, what: str = "An answer.") -> Json:
    return {"description": what, "content": {JSON: {"schema": schema}}}
