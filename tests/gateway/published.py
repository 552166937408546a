"""OpenRouter's published schema: what is answered is held against it."""

import gzip
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.shared_data import shared

FILE = "openrouter_openapi_2026-08.yaml.gz"
_URI = "urn:openrouter"


@cache
def document() -> dict[str, Any]:
    """The whole document; skips the test where the shared data is absent."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = yaml.load(gzip.decompress(shared(FILE).read_bytes()), Loader=loader)
    assert isinstance(found, dict)
    return found


def faults(path: str, method: str, status: int, body: object, kind: str = "application/json") -> list[str]:
    """Where a body differs from the schema of this answer, each with its place."""
    responses = document()["paths"][path][method]["responses"]
    assert str(status) in responses, f"{status} is not documented for {method} {path}"
    place = f"/paths/{path.replace('/', '~1')}/{method}/responses/{status}/content/{kind.replace('/', '~1')}/schema"
    found = _validator(place).iter_errors(body)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def component_faults(name: str, body: object) -> list[str]:
    """Where a body differs from one of the document's components."""
    return [f"{e.json_path}: {e.message[:200]}" for e in _validator(f"/components/schemas/{name}").iter_errors(body)]


@cache
def _validator(place: str) -> Draft202012Validator:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(_URI, resource)
    return Draft202012Validator({"$ref": f"{_URI}#{place}"}, registry=registry)
