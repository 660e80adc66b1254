"""Reading requests and writing answers: parsing, JSON, ETags, pages."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import hdrs, web
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from chatvault.actor import Actor
from chatvault.audit.recorder import Recorder
from chatvault.byte_ranges import ByteRange
from chatvault.encoding import to_json
from chatvault.errors import NotFound, UnsupportedMediaType
from chatvault.http.bodies import BODY, BULK_BODY, SMALL_BODY, Room, read_body
from chatvault.http.dialects import Dialect, Names, to_ours, values_of
from chatvault.http.json_slices import BULK_WEIGHT, UNIT_WEIGHT, from_text, parse
from chatvault.http.validation import is_bulk, validate, validate_in_slices
from chatvault.idempotency import IdempotencyKey
from chatvault.keys import SecretKey
from chatvault.metrics.instruments import Metrics
from chatvault.settings import Settings

M = TypeVar("M", bound=BaseModel)

SETTINGS = web.AppKey("settings", Settings)
RECORDER = web.AppKey("recorder", Recorder)
METRICS = web.AppKey("metrics", Metrics)
SECRET_KEY = web.AppKey("secret_key", SecretKey)
ACTOR = web.RequestKey("actor", Actor)
SCHEME = web.RequestKey("scheme", str)
# Where a browser is sent if the request fails, in place of a problem that nobody would read.
ON_ERROR = web.RequestKey("on_error", URL)
BEGUN = web.RequestKey("begun", web.StreamResponse)
# The cookie of the session, which `sessions` sets and reads.
COOKIE = "session_id"
JSON_TYPES = {"application/json", "application/merge-patch+json", "application/octet-stream"}
MAX_BODY_BYTES = BULK_BODY


class IdempotencyHeaders(BaseModel):
    """A request may be recognised when it is repeated (the IETF's Idempotency-Key draft)."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="the same key and body again within a day gets the first answer again",
    )


def parse_path(request: web.Request, model: type[M]) -> M:
    """Return the path's parameters; a malformed id is treated like an unknown one.

    Raises:
        NotFound: a parameter is malformed; same answer as for an unknown one.
    """
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError as error:
        raise _absent(model, str(error.errors(include_input=False)[0]["loc"][0])) from None


def _absent(model: type[BaseModel], parameter: str) -> NotFound:
    make: Callable[[], NotFound] | None = getattr(model, "absent", None)
    kind = parameter.removesuffix("_id").capitalize()
    return make() if make is not None else NotFound(f"{kind} not found")


def parse_query(request: web.Request, model: type[M], names: Names | None = None) -> M:
    """Return the query's parameters.

    Args:
        request: the request.
        model: the model to validate with.
        names: those of the parameters that are a dialect's.

    Raises:
        InvalidInput: one is unknown, wrong or given twice.
    """
    values = values_of(request)
    return validate(model, values if names is None else to_ours(values, names), "query")


def parse_headers(request: web.Request, model: type[M]) -> M:
    """Return the headers that the model names by alias.

    Raises:
        InvalidInput: one is wrong.
    """
    given = {name: request.headers[name] for name in _aliases(model) if name in request.headers}
    return validate(model, given, "header")


@functools.cache
def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


async def parse_body(
    request: web.Request,
    model: type[M],
    *,
    limit: int,
    room: Room | None,
    dialect: Dialect | None = None,
) -> M:
    """Return the JSON body.

    Args:
        request: the request.
        model: the model to validate with.
        limit: in bytes.
        room: for a large one; None for a small one, which is parsed at once.
        dialect: the operation's, which renames fields.

    Raises:
        UnsupportedMediaType: the body says that it is something else.
        Malformed: it is not JSON, or not UTF-8, or is incomplete.
        TooLarge: it has too many bytes, or too many values.
        TooSlow: it came more slowly than the minimum pace.
        InvalidInput: a field is missing, unknown or wrong.
        Busy: there is no room for its values.
    """
    if request.content_type not in JSON_TYPES:
        raise UnsupportedMediaType
    text = await read_body(request, limit)
    rename = dialect.rename if dialect is not None else lambda body: body
    if room is None:
        return validate(model, rename(from_text(text)), "body")
    await room.admit(text, max_weight=BULK_WEIGHT if is_bulk(model) else UNIT_WEIGHT)
    value = rename(await parse(text, room.queue))
    return await validate_in_slices(model, value, "body", room.queue)


async def idempotency_key_of(
    request: web.Request, headers: IdempotencyHeaders, *, beside: str = ""
) -> IdempotencyKey | None:
    """Return the request's idempotency key with route and body hash, or None without a key.

    Args:
        request: the request, with its body.
        headers: the headers, with the key.
        beside: what else identifies the request, beside the body.
    """
    if headers.key is None:
        return None
    wish = partial(request.app[SECRET_KEY].hash_bytes, request[BODY], beside.encode())
    is_large = len(request[BODY]) > SMALL_BODY
    return IdempotencyKey(
        route=f"{request.method} {request.path}",
        key=headers.key.strip('"'),
        # In a thread, hashing leaves the interpreter to others.
        body_hash=await asyncio.to_thread(wish) if is_large else wish(),
    )


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        body=to_json(value), status=status, headers=headers, content_type="application/json"
    )


async def stream(
    request: web.Request,
    chunks: AsyncGenerator[bytes],
    *,
    headers: Mapping[str, str],
    status: int = 200,
    patience: float | None = None,
) -> web.StreamResponse:
    """Send an answer in chunks; abort it if a failure makes it incomplete.

    Args:
        request: what is answered.
        chunks: the bytes.
        headers: of the answer.
        status: of the answer.
        patience: seconds for the client to take a chunk; None for as long as it likes.
    """
    async with contextlib.aclosing(chunks):
        response = await begin_stream(request, headers, status=status)
        if request.method == hdrs.METH_HEAD:
            return response
        with contextlib.suppress(ConnectionError):  # The client has disconnected.
            async for chunk in chunks:
                await _write(request, response, chunk, patience)
            await response.write_eof()
    return response


async def stream_range(
    request: web.Request,
    chunks: AsyncGenerator[bytes],
    bounds: ByteRange,
    *,
    headers: Mapping[str, str],
    patience: float | None = None,
) -> web.StreamResponse:
    """Send bytes of a file, whole or a range, in chunks as `stream` does."""
    fields = {
        **headers,
        hdrs.CONTENT_LENGTH: str(bounds.end - bounds.start),
        hdrs.ACCEPT_RANGES: "bytes",
    }
    if bounds.is_whole:
        return await stream(request, chunks, headers=fields, patience=patience)
    fields[hdrs.CONTENT_RANGE] = f"bytes {bounds.start}-{bounds.end - 1}/{bounds.size}"
    return await stream(request, chunks, headers=fields, status=206, patience=patience)


async def _write(
    request: web.Request, response: web.StreamResponse, chunk: bytes, patience: float | None
) -> None:
    """Send a chunk.

    Raises:
        ConnectionError: the client is gone, or takes too long.
    """
    try:
        async with asyncio.timeout(patience):
            await response.write(chunk)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError from None


async def begin_stream(
    request: web.Request, headers: Mapping[str, str], *, status: int = 200
) -> web.StreamResponse:
    """Send the head of an answer; HEAD needs no more.

    A later failure cannot be answered otherwise.
    """
    request[BEGUN] = response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    return response


def etag(version: int) -> str:
    """Return the strong ETag of a version."""
    return f'"{version}"'


def page_links(
    request: web.Request, *, limit: int, offset: int, total: int | None, has_more: bool = False
) -> dict[str, str]:
    """Return `Link` (RFC 8288) to the pages before and after, and `X-Total-Count`.

    Args:
        request: the current request.
        limit: of a page.
        offset: of this page.
        total: over all pages; None where it is not counted.
        has_more: whether there may be more, where it is not counted.
    """
    pages = {}
    if has_more if total is None else offset + limit < total:
        pages["next"] = offset + limit
    if offset > 0:
        pages["prev"] = max(0, offset - limit)
    headers = {} if total is None else {"X-Total-Count": str(total)}
    if pages:
        headers["Link"] = ", ".join(
            f'<{link_to(request, limit=limit, offset=start)}>; rel="{name}"'
            for name, start in pages.items()
        )
    return headers


def link_to(request: web.Request, *, drop: str = "", **changes: Any) -> str:
    """Return the request's URL with some query parameters changed, and others left out.

    Args:
        request: the current request.
        drop: names, separated by spaces.
        changes: values by name.
    """
    left_out = {*drop.split()} - changes.keys()
    kept = [(name, value) for name, value in request.query.items() if name not in left_out]
    # A changed parameter stays in its place, and one that is given several times is kept so.
    shown = [(name, changes.pop(name, value)) for name, value in kept]
    return f"{request.path}?{urlencode([*shown, *changes.items()])}"
