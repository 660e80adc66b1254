"""Middlewares of every request: context, errors, origins, session, headers."""

import asyncio
import re
import secrets
import time
from dataclasses import replace
from http import HTTPStatus

import aiohttp_session
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from chatvault import addresses
from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.refusals import RefusalCounter
from chatvault.errors import (
    ChatvaultError,
    CookieWithheld,
    ForeignOrigin,
    InvalidApiKey,
    OutcomeUnknown,
    StoredNotShown,
    TooLarge,
    TooSlow,
    Unavailable,
)
from chatvault.http.bearer import KeyedRequests, KeyIdentifier, key_in
from chatvault.http.limiting import RATES, headers_of
from chatvault.http.problems import (
    as_domain_error,
    http_exception_response,
    outcome_of,
    problem_response,
)
from chatvault.http.requests import ACTOR, BEGUN, COOKIE, METRICS, ON_ERROR, SCHEME, SETTINGS
from chatvault.http.routing import Operation, is_quiet, operation_of
from chatvault.http.sites import host_of, is_cross_site
from chatvault.mongodb.database import RETRY_AFTER
from chatvault.outcome import begin_operation
from chatvault.settings import Network

REFUSALS = web.AppKey("refusals", RefusalCounter)
KEY_FINDER = web.AppKey("key_finder", KeyIdentifier)
KEYED_REQUESTS = web.AppKey("keyed_requests", KeyedRequests)
# The API key that a request is made with, where the operation takes one.
API_KEY = web.RequestKey("api_key", str)
# The route of the files of the page, in metrics.
PAGE = "page"

REQUEST_ID = "X-Request-ID"
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{8,64}")
MAX_USER_AGENT = 256
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE"
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Accept, If-Match, If-None-Match, Prefer, Idempotency-Key, "
    "Last-Event-ID, X-Conversation-Id, X-Request-ID, Erasure-Token, "
    "Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset"
)
EXPOSED_HEADERS = (
    "ETag, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, "
    "X-Conversation-Id, X-Request-ID, "
    "X-Total-Count, "
    "Tus-Resumable, Upload-Expires, Upload-Length, Upload-Offset"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "chatvault",
}
log = structlog.get_logger()


@web.middleware
async def context(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and its client's address, and log how it ended."""
    begin_operation()
    started = time.perf_counter()
    given_id = request.headers.get(REQUEST_ID, "")
    request_id = given_id if REQUEST_ID_PATTERN.fullmatch(given_id) else secrets.token_hex(16)
    address, request[SCHEME] = _client(request, request.app[SETTINGS].trusted_proxies)
    request[ACTOR] = Actor(
        door=Door.HTTP,
        request_id=request_id,
        address=address,
        user_agent=_user_agent(request),
        started=started,
    )
    bound = structlog.contextvars.bind_contextvars(request_id=request_id)
    try:
        response = await handler(request)
        operation = operation_of(request)
        seconds = time.perf_counter() - started
        _measure(request, operation, response, seconds)
        # A probe comes every few seconds, and is only of interest if it fails.
        is_probe = operation is not None and operation.is_probe and response.status == HTTPStatus.OK
        (log.debug if is_probe or is_quiet(request) else log.info)(
            "request",
            method=request.method,
            route=operation.path if operation else None,
            status=response.status,
            duration_ms=round(seconds * 1000, 1),
        )
    finally:
        structlog.contextvars.reset_contextvars(**bound)
    return response


def _measure(
    request: web.Request,
    operation: Operation | None,
    response: web.StreamResponse,
    seconds: float,
) -> None:
    """Count a request under the template of its route; of a stream, the duration says nothing."""
    route = operation.path if operation else (PAGE if is_quiet(request) else None)
    is_whole = isinstance(response, web.Response)
    request.app[METRICS].requests.observe(
        route, request.method, response.status, seconds if is_whole else None
    )


def _user_agent(request: web.Request) -> str | None:
    value = request.headers.get(hdrs.USER_AGENT)
    # Bytes that are not UTF-8 arrive as surrogates, which BSON refuses.
    return value and value[:MAX_USER_AGENT].encode("utf-8", "replace").decode()


def _client(request: web.Request, trusted: tuple[Network, ...]) -> tuple[str | None, str]:
    """Return the client's address and scheme, as the first untrusted hop used them."""
    remote = addresses.plain(request.remote)
    if not _is_trusted(remote, trusted):
        return remote, request.scheme
    hops = _forwarded(request, "X-Forwarded-For")
    address = next((hop for hop in reversed(hops) if not _is_trusted(hop, trusted)), "")
    scheme = _forwarded(request, "X-Forwarded-Proto")[-1]
    return (
        addresses.plain(address) if addresses.parse(address) else remote,
        scheme if scheme in {"http", "https"} else request.scheme,
    )


def _forwarded(request: web.Request, name: str) -> list[str]:
    # A proxy may add its own line below one that the client made up.
    return [hop.strip() for hop in ",".join(request.headers.getall(name, ())).split(",")]


def _is_trusted(address: str | None, trusted: tuple[Network, ...]) -> bool:
    parsed = addresses.parse(address) if trusted and address else None
    return parsed is not None and any(parsed in network for network in trusted)


@web.middleware
async def error_table(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into one audit entry and one problem; the outermost middleware."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if not isinstance(error, web.HTTPRequestEntityTooLarge):
            return http_exception_response(error, request_id=request[ACTOR].request_id)
        refused = as_domain_error(error)
    except Exception as error:  # noqa: BLE001  # the outermost door
        refused = as_domain_error(error)
    # Otherwise the error and this frame would keep each other, and the request's body, alive.
    refused.__traceback__ = None
    if BEGUN in request:
        return _break_off(request, refused)
    operation = operation_of(request)
    # The stored change has its entry, and did not fail.
    is_told = isinstance(refused, StoredNotShown)
    if operation is not None and operation.action is not None and not is_told:
        refused = await _record(request, operation.action, refused)
    if ON_ERROR in request:
        location = str(request[ON_ERROR].update_query(problem=refused.code))
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: location})
    response = problem_response(
        refused,
        request_id=request[ACTOR].request_id,
        dialect=None if operation is None else operation.dialect,
    )
    if isinstance(refused, TooLarge | TooSlow) and not request.content.is_eof():
        # The rest of the body is not worth reading.
        response.force_close()
    return response


def _break_off(request: web.Request, error: ChatvaultError) -> web.StreamResponse:
    """Abort an answer in the middle, so that the client sees that it is incomplete.

    Its audit entry was stored before it began, and no other answer can follow it.
    """
    log.warning("answer_broke_off", code=error.code)
    if request.transport is not None:
        request.transport.abort()
    return request[BEGUN]


async def _record(request: web.Request, action: Action, refused: ChatvaultError) -> ChatvaultError:
    """Record a refusal in the remaining time; return the error to answer, which may be another."""
    try:
        async with asyncio.timeout(_time_left(request)):
            await _record_refusal(request, action, refused)
    except TimeoutError:
        if not isinstance(refused, Unavailable):
            return Unavailable(retry_after=RETRY_AFTER)
    except Exception as error:  # noqa: BLE001  # an unrecorded refusal is a failure itself
        # But OutcomeUnknown stays: no client may be told that nothing was done.
        if not isinstance(refused, OutcomeUnknown):
            return as_domain_error(error)
    return refused


def _time_left(request: web.Request) -> float:
    """Return the seconds left to record in; if the database is gone, most have passed already."""
    spent = time.perf_counter() - request[ACTOR].started
    return max(0.25, request.app[SETTINGS].mongodb_timeout - spent)


async def _record_refusal(request: web.Request, action: Action, error: Exception) -> None:
    refused = as_domain_error(error)
    actor = request[ACTOR]
    entry = audit.entry(
        actor,
        action,
        refused.resource_id or _resource_id(request),
        outcome=outcome_of(refused),
        code=refused.code,
        details=dict(refused.recorded) if refused.recorded else None,
    )
    await request.app[REFUSALS].record(entry)


def _resource_id(request: web.Request) -> str | None:
    """Return the id in the path if it is well-formed: nothing else from a client is stored."""
    ids = list(request.match_info.values())
    return ids[0] if ids and re.fullmatch("[0-9a-f]{24}", ids[0]) else None


@web.middleware
async def origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer preflights, and refuse changes and live events to a foreign page's browser.

    A request with an API key is neither: a browser adds no key by itself.
    """
    if (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    ):
        return _preflight(request)
    operation = operation_of(request)
    is_checked = operation is not None and operation.checks_origin
    if operation is not None and not operation.is_public and (secret := key_in(request)):
        request[API_KEY] = secret
    elif (is_checked or request.method not in SAFE_METHODS) and _is_foreign(request):
        raise ForeignOrigin("This origin may not follow events" if is_checked else None)
    return await handler(request)


def _is_foreign(request: web.Request) -> bool:
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "cross-site"
    if origin in request.app[SETTINGS].allowed_origins:
        return False
    return origin != f"{request[SCHEME]}://{request.host}".lower()


def _preflight(request: web.Request) -> web.Response:
    if request.headers.get(hdrs.ORIGIN) not in request.app[SETTINGS].allowed_origins:
        raise ForeignOrigin
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ALLOWED_METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ALLOWED_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: "600",
    }
    return web.Response(text="OK", headers=headers)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the API key, or else the session of the cookie, into the actor that is needed."""
    if API_KEY in request:
        return await _with_key(request, handler)
    operation = operation_of(request)
    if operation is not None and operation.knows_caller:
        session = await aiohttp_session.get_session(request)
        if not session.empty:
            request[ACTOR] = replace(
                request[ACTOR],
                user_id=session["user_id"],
                role=session["role"],
                session_id=session["id"],
            )
        elif not operation.is_public:
            _refuse_without_cookie(request)
    return await handler(request)


async def _with_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request with an API key; its cookies are not looked at."""
    finder, open_requests = request.app[KEY_FINDER], request.app[KEYED_REQUESTS]
    request[ACTOR] = actor = await finder.identify(request[ACTOR], request[API_KEY])
    if actor.key_id is None:
        raise InvalidApiKey
    with open_requests.hold(request, actor.key_id):
        return await handler(request)


def _refuse_without_cookie(request: web.Request) -> None:
    """Raise if a page's browser takes the service for another site, so that no cookie can come.

    Raises:
        CookieWithheld: no cookie came, and none will.
    """
    origin = request.headers.get(hdrs.ORIGIN, "")
    if COOKIE in request.cookies or origin not in request.app[SETTINGS].allowed_origins:
        return
    if is_cross_site(origin, request.host, request.headers.get("Sec-Fetch-Site")):
        page, called = host_of(origin), host_of(f"//{request.host}")
        raise CookieWithheld(
            f"Your browser sends no session cookie from a page on {page} to {called}, which is "
            f"another site; call the service under the page's host name."
        )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that every answer has, streams and errors included."""
    for name, value in SECURITY_HEADERS.items():
        if name not in response.headers or name == hdrs.SERVER:
            response.headers[name] = value
    actor = request.get(ACTOR)
    if actor is not None:
        response.headers[REQUEST_ID] = actor.request_id
    if rates := request.get(RATES):
        response.headers.update(headers_of(rates))
    response.headers.add(hdrs.VARY, "Origin")
    origin = request.headers.get(hdrs.ORIGIN)
    if origin in request.app[SETTINGS].allowed_origins:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
