"""The OpenAPI 3.1 description, built from the validating models, and the page that shows it."""

import functools
import inspect
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

import chatvault
from chatvault import errors
from chatvault.actor import Scope
from chatvault.http import problems
from chatvault.http.bodies import SMALL_BODY, shown_size
from chatvault.http.csp import content_security_policy
from chatvault.http.limiting import RATE_LIMIT, RATE_LIMIT_POLICY
from chatvault.http.openapi_examples import BODY_OF, BY_MEDIA, BY_OPERATION, Examples
from chatvault.http.openapi_schemas import Schema, Schemas, without_null
from chatvault.http.requests import json_response
from chatvault.http.routing import SESSION_ONLY, Operation, Routes
from chatvault.version import VERSION

JSON = "application/json"
BYTES = "application/octet-stream"
SESSION = {"type": "apiKey", "in": "cookie", "name": "session_id"}
KEY = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "cv_…",
    "description": "An API key, made by `POST /auth/keys`; each operation names its scope.",
}
OPERATIONS = web.AppKey("operations", tuple[Operation, ...])
PLACES = {"path": "path", "query": "query", "headers": "header"}
# With these methods, a field that is left out keeps its value.
KEEPING = ("PUT", "PATCH")
# Problems that a later attempt may not meet.
LATER = (429, 503)
TOO_MANY = 429
RATE_HEADERS = (RATE_LIMIT_POLICY, RATE_LIMIT)
# Problems that may say what is wrong with an API key.
CHALLENGED = (401, 403)
HEADERS = {
    "Accept-Ranges": "`bytes`: one range can be asked for.",
    "Content-Disposition": "The name of the file to save it as.",
    "Content-Range": "Which bytes these are, and of how many (RFC 9110).",
    "ETag": "The version, for `If-Match` and `If-None-Match`.",
    "Link": "The pages around this one (RFC 8288): `next`, `prev`.",
    "Location": "The path of what was made.",
    "Preference-Applied": "What was done of `Prefer` (RFC 7240).",
    "RateLimit": "What is left of the limits of requests a minute, where there are any.",
    "RateLimit-Policy": "The limits of requests a minute, where there are any (an IETF draft).",
    "Retry-After": "Seconds after which it may work.",
    "Set-Cookie": "The cookie `session_id`, new or ended.",
    "Upload-Expires": "When the upload is removed, unless it is imported.",
    "Upload-Length": "How many bytes the upload is to have.",
    "Upload-Offset": "How many bytes of the upload have arrived.",
    "X-Conversation-Id": "The conversation that records the exchange.",
    "WWW-Authenticate": "What is wrong with the API key (RFC 6750).",
    "X-Robots-Tag": "What search engines may not do with it.",
    "X-Request-ID": "Stands in the log and in the audit entry, too.",
    "X-Total-Count": "How many there are on all pages.",
}
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
    more_errors: int | None = None
    scope: str | None = None
    limit: str | None = None


class RootOut(BaseModel):
    """The service's name, with links to its description and its state."""

    name: str
    version: str
    docs: str
    openapi: str
    health: str
    ready: str


@routes.route("GET", "/", None, status=302, returns=RootOut, sends=("Location",))
async def get_root(_request: web.Request) -> web.StreamResponse:
    """Lead to the page that shows this API.

    A browser goes there; the answer itself names the other places to begin with.
    """
    found = RootOut(
        name="chatvault",
        version=VERSION,
        docs="/docs",
        openapi="/openapi.json",
        health="/health",
        ready="/ready",
    )
    return json_response(found, status=302, headers={"Location": found.docs})


@routes.route("GET", "/openapi.json", None, returns=dict[str, Any])
async def get_document(request: web.Request) -> web.StreamResponse:
    """Describe this API in OpenAPI 3.1.

    Made from the models that validate requests.
    """
    return json_response(_describe_once(request.app[OPERATIONS]))


@routes.route("GET", "/docs", None, returns=str, media=("text/html",))
async def get_page(_request: web.Request) -> web.StreamResponse:
    """Show this API as a page; everything it needs comes from here.

    It loads nothing from elsewhere.
    """
    page, policy = _page()
    headers = {"Content-Security-Policy": policy}
    return web.Response(text=page, content_type="text/html", headers=headers)


@functools.lru_cache(maxsize=1)
def _describe_once(operations: tuple[Operation, ...]) -> dict[str, Any]:
    # On demand: it takes longer than the rest of the start, and is rarely requested.
    return build_document(operations)


@functools.cache
def _page() -> tuple[str, str]:
    """Return the page, and the policy that lets a browser run its content and nothing else."""
    # Imported here: it reads some megabytes of assets, which only this page needs.
    from offapi import OpenAPITemplate  # noqa: PLC0415  # as said

    page = OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json")
    return page, content_security_policy(page)


def build_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the description of these operations."""
    operations = list(operations)
    schemas = Schemas(chain.from_iterable(map(_models, operations)))
    examples = Examples(schemas)
    for operation in operations:
        if operation.method in KEEPING and "body" in operation.models:
            schemas.drop_defaults(schemas.of(operation.models["body"], "validation"))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _describe(operation, schemas, examples)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chatvault",
            "version": VERSION,
            "description": (chatvault.__doc__ or "").strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {
            "schemas": _components(schemas, examples, paths),
            "headers": {
                name: {"description": words, "schema": {"type": "string"}}
                for name, words in HEADERS.items()
            },
            "securitySchemes": {"session": SESSION, "key": KEY},
        },
    }


def _components(schemas: Schemas, examples: Examples, paths: Any) -> dict[str, Any]:
    found = schemas.used_by(paths)
    problem = schemas.of(Problem, "serialization")
    name = schemas.resolve(problem)["title"]
    return found | {name: found[name] | {"examples": [examples.of(problem)]}}


def _models(operation: Operation) -> Iterator[tuple[Any, JsonSchemaMode]]:
    for model in operation.models.values():
        yield model, "validation"
    for model in (operation.returns, *operation.other.values(), Problem):
        if model is not None and not isinstance(model, str):
            yield model, "serialization"


def _describe(operation: Operation, schemas: Schemas, examples: Examples) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(operation.handler) or "").partition("\n\n")
    paragraphs = [" ".join(each.split()) for each in description.split("\n\n") if each]
    if operation.method == "PATCH":
        paragraphs.append("`application/merge-patch+json` is taken as well.")
    if operation.dialect is not None and operation.dialect.note:
        paragraphs.append(operation.dialect.note)
    if operation.action is not None:
        paragraphs.append(f"Audited as `{operation.action.value}`.")
    if operation.scope == SESSION_ONLY:
        paragraphs.append("Needs a signed-in session; an API key may not do it.")
    elif operation.scope is not None:
        paragraphs.append(f"An API key needs the scope `{operation.scope}`.")
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": " ".join(summary.split()),
        "description": "\n\n".join(paragraphs),
        "tags": [operation.tag],
        "parameters": [
            parameter
            for name, place in PLACES.items()
            if name in operation.models
            for parameter in _parameters(
                schemas.resolve(schemas.of(operation.models[name], "validation")), place, examples
            )
        ],
        "responses": _responses(operation, schemas, examples),
        "security": _security(operation),
    }
    if (body := _body(operation, schemas, examples)) is not None:
        described["requestBody"] = body
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.is_public:
        return []
    session: dict[str, list[str]] = {"session": []}
    if not isinstance(operation.scope, Scope):
        return [session]
    return [session, {"key": [operation.scope.value]}]


def _body(operation: Operation, schemas: Schemas, examples: Examples) -> dict[str, Any] | None:
    limit = f"At most {shown_size(operation.max_body)}."
    # One media type only: for two, generators make two bodies.
    if model := operation.models.get("body"):
        schema = schemas.of(model, "validation")
        content = {JSON: {"schema": schema, "example": examples.of(schema, is_input=True)}}
        return {"description": limit, "required": True, "content": content}
    if not operation.takes:
        return None
    example = BODY_OF.get(operation.handler.__name__)
    content = {JSON: {"schema": {}, "example": example}}
    if example is None:
        media = operation.media_taken or BYTES
        content = {media: {"schema": {"type": "string"}, "example": BY_MEDIA[BYTES]}}
    return {"description": f"{operation.takes} {limit}", "required": True, "content": content}


def _parameters(schema: Schema, place: str, examples: Examples) -> Iterator[dict[str, Any]]:
    for name, found in schema["properties"].items():
        shown = without_null({key: value for key, value in found.items() if key != "default"})
        parameter: dict[str, Any] = {"name": name, "in": place, "schema": shown}
        if "description" in shown:
            parameter["description"] = shown.pop("description")
        if name in schema.get("required", ()):
            parameter |= {"required": True, "example": examples.of(shown, name=name)}
        elif "examples" in shown:
            parameter["example"] = shown.pop("examples")[0]
        yield parameter


def _responses(operation: Operation, schemas: Schemas, examples: Examples) -> dict[str, Any]:
    def content(media: str, model: Any) -> dict[str, Any]:
        if media != JSON:
            return {media: {"schema": {"type": "string"}, "example": BY_MEDIA[media]}}
        schema = schemas.of(model, "serialization")
        example = BY_OPERATION.get(operation.handler.__name__)
        return {media: {"schema": schema, "example": example or examples.of(schema)}}

    def answer(status: int, contents: Iterable[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {"description": HTTPStatus(status).phrase + "."}
        rates = () if operation.limited_as is None else RATE_HEADERS
        names = ("X-Request-ID", *rates, *operation.sends)
        found["headers"] = {name: _header(name) for name in names}
        merged = {media: each for one in contents for media, each in one.items()}
        return found | {"content": merged} if merged else found

    medias = operation.media if operation.returns is not None else ()
    contents = (content(media, operation.returns) for media in medias)
    responses = {str(operation.status): answer(operation.status, contents)}
    headers = operation.models.get("headers", BaseModel).model_fields.values()
    if any(header.alias == "If-None-Match" for header in headers):
        responses["304"] = {
            "description": "You have this version already.",
            "headers": {"ETag": _header("ETag")},
        }
    for status, model in operation.other.items():
        shown = content(model, None) if isinstance(model, str) else content(JSON, model)
        responses[str(status)] = answer(status, [shown])
    return responses | _problems(operation, schemas)


def _problems(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    if operation.action is None and not operation.errors:
        return {}
    kinds: dict[int, list[str]] = {}
    for kind in _refusals(operation):
        kinds.setdefault(problems.status_of(kind), []).append(kind.code)
    schema = schemas.of(Problem, "serialization")
    found = {}
    for status, codes in sorted(kinds.items()):
        words = ", ".join(f"`{code}`" for code in dict.fromkeys(codes))
        names = ["X-Request-ID"]
        if status == TOO_MANY and operation.limited_as is not None:
            names += RATE_HEADERS
        if status in LATER:
            names.append("Retry-After")
        if status in CHALLENGED and not operation.is_public:
            names.append("WWW-Authenticate")
        found[str(status)] = {
            "description": f"A problem with code {words}.",
            "headers": {name: _header(name) for name in names},
            "content": {problems.MEDIA_TYPE: {"schema": schema}},
        }
    return found


def _header(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/headers/{name}"}


def _refusals(operation: Operation) -> Iterable[type[errors.ChatvaultError]]:
    """Return the errors of an operation, by its signature and by its declaration."""
    yield errors.Unavailable
    yield from operation.errors
    if not operation.is_public:
        yield from (errors.NotAuthenticated, errors.CookieWithheld)
        yield from (errors.InvalidApiKey, errors.Throttled)
        is_for_keys = isinstance(operation.scope, Scope)
        yield errors.InsufficientScope if is_for_keys else errors.SessionRequired
    if operation.method != "GET":
        yield from (errors.ForeignOrigin, errors.OutcomeUnknown)
    if "path" in operation.models:
        yield errors.NotFound
    if operation.models.keys() & {"query", "headers", "body"}:
        yield errors.InvalidInput
    if "body" in operation.models:
        yield from (errors.Malformed, errors.TooLarge, errors.TooSlow)
        yield errors.UnsupportedMediaType
        if operation.max_body > SMALL_BODY:
            yield errors.Busy
