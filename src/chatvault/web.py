"""Reading requests and writing answers: parsing, JSON, validators, pages."""

import contextlib
import functools
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from chatvault.actor import Actor
from chatvault.audit.recorder import Recorder
from chatvault.encoding import to_json
from chatvault.errors import FieldError, InvalidInput, Malformed, NotFound, UnsupportedMediaType
from chatvault.idempotency import Repeat
from chatvault.keys import SecretKey
from chatvault.settings import Settings

M = TypeVar("M", bound=BaseModel)

SETTINGS = web.AppKey("settings", Settings)
RECORDER = web.AppKey("recorder", Recorder)
SECRET_KEY = web.AppKey("secret_key", SecretKey)
ACTOR = web.RequestKey("actor", Actor)
SCHEME = web.RequestKey("scheme", str)
JSON_TYPES = {"application/json", "application/merge-patch+json", "application/octet-stream"}
MAX_BODY_BYTES = 32 * 1024 * 1024


class RepeatHeaders(BaseModel):
    """A request may be recognised when it is repeated (the IETF's Idempotency-Key draft)."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="the same key and body again within a day gets the first answer again",
    )


def parse_path(request: web.Request, model: type[M]) -> M:
    """The path's parameters; an id that cannot be one is as absent as any other.

    Raises:
        NotFound: a parameter is malformed.
    """
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError:
        raise NotFound from None


def parse_query(request: web.Request, model: type[M]) -> M:
    """The query's parameters.

    Raises:
        InvalidInput: one is unknown, wrong or given twice.
    """
    query = request.query
    values = {name: query.getall(name) for name in query}
    return _validate(
        model, {name: given if given[1:] else given[0] for name, given in values.items()}, "query"
    )


def parse_headers(request: web.Request, model: type[M]) -> M:
    """The headers that the model names by alias.

    Raises:
        InvalidInput: one is wrong.
    """
    given = {name: request.headers[name] for name in _aliases(model) if name in request.headers}
    return _validate(model, given, "header")


@functools.cache
def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


async def parse_body(request: web.Request, model: type[M]) -> M:
    """The JSON body.

    Raises:
        UnsupportedMediaType: the body says that it is something else.
        Malformed: it is not JSON, or not UTF-8, or did not arrive whole.
        InvalidInput: a field is missing, unknown or wrong.
    """
    if request.content_type not in JSON_TYPES:
        raise UnsupportedMediaType
    try:
        value = from_json(await request.read(), allow_inf_nan=False)
    except (web.RequestPayloadError, ConnectionError):
        raise Malformed("The body cannot be unpacked, or ends too early.") from None
    except ValueError as error:
        raise Malformed(f"The body is not JSON: {error}.") from None
    return _validate(model, value, "body")


async def repeat_of(
    request: web.Request, headers: RepeatHeaders, *, beside: str = ""
) -> Repeat | None:
    """What the request is known by, if it has a key.

    Args:
        request: with its body.
        headers: with its key.
        beside: what else belongs to the wish, as the body does.
    """
    if headers.key is None:
        return None
    wish = (await request.read()).decode("utf-8", "replace") + beside
    return Repeat(
        route=f"{request.method} {request.path}",
        key=headers.key.strip('"'),
        body_hash=request.app[SECRET_KEY].hash(wish),
    )


def _validate(model: type[M], value: object, where: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_input(error, where) from None


def invalid_input(error: ValidationError, where: str) -> InvalidInput:
    """What pydantic found wrong, without any of the input itself.

    Args:
        error: pydantic's.
        where: path, query, header or body.
    """
    fields = tuple(
        FieldError((where, *found["loc"]), found["msg"], found["type"])
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    )
    place = ".".join(str(part) for part in fields[0].loc[1:]) or where
    more = f" (and {len(fields) - 1} more)" if fields[1:] else ""
    return InvalidInput(f"{place}: {fields[0].msg}{more}", errors=fields)


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=to_json(value), status=status, headers=headers, content_type="application/json"
    )


async def stream(
    request: web.Request, chunks: AsyncGenerator[bytes], *, headers: Mapping[str, str]
) -> web.StreamResponse:
    """An answer that leaves chunk by chunk; one that cannot be given whole is broken off."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
    except ConnectionError:
        return response  # Nobody listens any more.
    except Exception:
        # What was sent cannot be taken back: the client has to see that it is not whole.
        if request.transport is not None:
            request.transport.abort()
        raise
    return response


def etag(version: int) -> str:
    """The strong validator of a version."""
    return f'"{version}"'


def page_links(request: web.Request, *, limit: int, offset: int, total: int) -> dict[str, str]:
    """`Link` (RFC 8288) to the pages before and after, and `X-Total-Count`."""
    pages = {}
    if offset + limit < total:
        pages["next"] = offset + limit
    if offset > 0:
        pages["prev"] = max(0, offset - limit)
    headers = {"X-Total-Count": str(total)}
    if pages:
        headers["Link"] = ", ".join(
            f'<{link_to(request, limit=limit, offset=start)}>; rel="{name}"'
            for name, start in pages.items()
        )
    return headers


def link_to(request: web.Request, *, drop: str = "", **changes: Any) -> str:
    """The same address with some of its query parameters changed, and others left out.

    Args:
        request: the one that is answered.
        drop: names, with spaces between.
        changes: values by name.
    """
    kept = {name: value for name, value in request.query.items() if name not in drop.split()}
    return f"{request.path}?{urlencode({**kept, **changes})}"
