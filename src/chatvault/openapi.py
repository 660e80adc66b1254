"""The OpenAPI 3.1 description, made from what validates, and the page that shows it."""

import functools
import inspect
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import chatvault
from chatvault import errors, problems
from chatvault.routing import Operation, Routes
from chatvault.version import VERSION
from chatvault.web import json_response

JSON = "application/json"
REFERENCE = "#/components/schemas/{model}"
SESSION = {"type": "apiKey", "in": "cookie", "name": "session_id"}
OPERATIONS = web.AppKey("operations", tuple[Operation, ...])
PLACES = {"path": "path", "query": "query", "headers": "header"}
routes = Routes("docs")


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, Any]] | None = None


@routes.route("GET", "/openapi.json", None, returns=dict[str, Any])
async def get_document(request: web.Request) -> web.StreamResponse:
    """Describe this API in OpenAPI 3.1."""
    return json_response(_describe_once(request.app[OPERATIONS]))


@routes.route("GET", "/docs", None, returns=str, media=("text/html",))
async def get_page(_request: web.Request) -> web.StreamResponse:
    """Show this API as a page; everything it needs comes from here."""
    return web.Response(text=_page(), content_type="text/html")


@functools.lru_cache(maxsize=1)
def _describe_once(operations: tuple[Operation, ...]) -> dict[str, Any]:
    # On demand: it takes longer than the rest of a start, and few ask for it.
    return build_document(operations)


@functools.cache
def _page() -> str:
    # Imported here: it reads some megabytes of assets, which only this page needs.
    from offapi import OpenAPITemplate  # noqa: PLC0415  # as said

    return OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json")


def build_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The description of these operations."""
    operations = list(operations)
    adapters: dict[Any, TypeAdapter[Any]] = {}
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in operations:
        for model in [
            *operation.models.values(),
            operation.returns,
            *operation.other.values(),
            Problem,
        ]:
            if model is None or (key := repr(model)) in adapters:
                continue
            adapters[key] = adapter = TypeAdapter(model)
            inputs += [(key, "validation", adapter), (key, "serialization", adapter)]
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
    _drop_empty_defaults(definitions)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _describe(operation, schemas, definitions.get("$defs", {}))
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chatvault",
            "version": VERSION,
            "description": (chatvault.__doc__ or "").strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"session": SESSION},
        },
    }


def _drop_empty_defaults(schema: Any) -> None:
    """Take out defaults that stand for what is absent: as values they would often be refused."""
    if isinstance(schema, dict):
        if schema.get("default", 0) in (None, ""):
            del schema["default"]
        for part in schema.values():
            _drop_empty_defaults(part)
    elif isinstance(schema, list):
        for part in schema:
            _drop_empty_defaults(part)


def _describe(
    operation: Operation, schemas: dict[Any, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    def schema(model: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        found: dict[str, Any] = schemas[(repr(model), mode)]
        return found

    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": inspect.getdoc(operation.handler),
        "tags": [operation.tag],
        "parameters": [
            parameter
            for name, place in PLACES.items()
            if name in operation.models
            for parameter in _parameters(
                _resolve(schema(operation.models[name], "validation"), definitions), place
            )
        ],
        "responses": _responses(operation, schema),
        "security": [] if operation.is_public else [{"session": []}],
    }
    if body := operation.models.get("body"):
        content = {"application/json": {"schema": schema(body, "validation")}}
        if operation.method == "PATCH":
            content["application/merge-patch+json"] = content["application/json"]
        described["requestBody"] = {"required": True, "content": content}
    return described


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found: dict[str, Any] = definitions[reference.rpartition("/")[2]] if reference else schema
    return found


def _parameters(schema: dict[str, Any], place: str) -> Iterable[dict[str, Any]]:
    for name, found in schema["properties"].items():
        shown = {key: value for key, value in found.items() if key not in {"title", "default"}}
        parameter: dict[str, Any] = {"name": name, "in": place, "schema": shown}
        if "description" in shown:
            parameter["description"] = shown.pop("description")
        if name in schema.get("required", ()):
            parameter["required"] = True
        yield parameter


def _responses(operation: Operation, schema: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if operation.returns is not None:
        shown = schema(operation.returns, "serialization")
        answer["content"] = {
            media: {"schema": shown if media == JSON else {"type": "string"}}
            for media in operation.media
        }
    responses = {str(operation.status): answer}
    headers = operation.models.get("headers", BaseModel).model_fields.values()
    if any(header.alias == "If-None-Match" for header in headers):
        responses["304"] = {"description": "You have this version already."}
    for status, model in operation.other.items():
        content = {JSON: {"schema": schema(model, "serialization")}}
        responses[str(status)] = {"description": "Not now.", "content": content}
    if operation.action is None:
        return responses
    kinds: dict[int, list[str]] = {}
    for kind in _refusals(operation):
        kinds.setdefault(problems.status_of(kind), []).append(kind.code)
    for status, codes in sorted(kinds.items()):
        words = ", ".join(f"`{code}`" for code in dict.fromkeys(codes))
        responses[str(status)] = {
            "description": f"A problem with code {words}.",
            "content": {problems.MEDIA_TYPE: {"schema": schema(Problem, "serialization")}},
        }
    return responses


def _refusals(operation: Operation) -> Iterable[type[errors.ChatvaultError]]:
    """What a call can be refused with, by its signature and by its own word."""
    yield errors.Unavailable
    yield from operation.errors
    if not operation.is_public:
        yield errors.NotAuthenticated
    if operation.method != "GET":
        yield from (errors.ForeignOrigin, errors.OutcomeUnknown)
    if "path" in operation.models:
        yield errors.NotFound
    if operation.models.keys() & {"query", "headers", "body"}:
        yield errors.InvalidInput
    if "body" in operation.models:
        yield from (errors.Malformed, errors.TooLarge, errors.UnsupportedMediaType)
