"""The error table of HTTP: the status of each kind of error, and RFC 9457 problems."""

from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from chatvault import errors
from chatvault.audit.actions import Outcome
from chatvault.encoding import to_json
from chatvault.http.dialects import Dialect
from chatvault.http.requests import MAX_BODY_BYTES
from chatvault.mongodb.database import to_domain_error
from chatvault.outcome import has_stored

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger()

STATUS: dict[type[errors.ChatvaultError], int] = {
    errors.Malformed: 400,
    errors.UnsupportedMediaType: 415,
    errors.TooLarge: 413,
    errors.TooSlow: 408,
    errors.RangeNotSatisfiable: 416,
    errors.UpgradeRequired: 426,
    errors.InvalidInput: 422,
    errors.NotAuthenticated: 401,
    errors.Throttled: 429,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.AlreadyTaken: 400,
    errors.StaleVersion: 412,
    errors.PreconditionRequired: 428,
    errors.Conflict: 409,
    errors.Unavailable: 503,
    errors.ChatvaultError: 500,
}
REFUSALS = (errors.NotAuthenticated, errors.Denied, errors.NotFound)


class InternalError(errors.ChatvaultError):
    """Something went wrong on our side; the request id helps to find out what."""

    code = "internal_error"


class UnknownPath(errors.NotFound):
    """There is nothing at this path."""

    code = "unknown_path"


class MethodNotAllowed(errors.InvalidInput):
    """The method is not allowed at this path."""

    code = "method_not_allowed"


def status_of(kind: type[errors.ChatvaultError]) -> int:
    """Return the HTTP status of a kind of error."""
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def outcome_of(error: errors.ChatvaultError) -> Outcome:
    """Return whether a rule denied the operation or it failed."""
    return Outcome.DENIED if isinstance(error, REFUSALS) else Outcome.FAILED


def as_domain_error(error: Exception) -> errors.ChatvaultError:
    """Return any exception as an error of the domain; an unknown one is hidden and logged."""
    if isinstance(error, errors.ChatvaultError):
        # Their detail is about the current change, and not true of an earlier one.
        if type(error) in {errors.Unavailable, errors.Busy} and has_stored():
            return errors.StoredNotShown(retry_after=error.retry_after)
        return error
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        limit = MAX_BODY_BYTES // 1024**2
        return errors.TooLarge(f"A request's body may have at most {limit} MB.")
    if (known := to_domain_error(error)) is not None:
        log.warning("database_trouble", error=type(error).__name__)
        return known
    log.error("internal_error", exc_info=error)
    return InternalError()


def broken_off(error: Exception) -> errors.ChatvaultError:
    """Return the error for a failure in the middle of an answer, when something has been done."""
    known = as_domain_error(error)
    if not isinstance(error, errors.ChatvaultError) and isinstance(known, errors.Unavailable):
        return errors.Unavailable(
            "The database cannot be reached; the answer breaks off here. Ask for the rest shortly."
        )
    return known


def problem_response(
    error: errors.ChatvaultError,
    *,
    request_id: str,
    status: int | None = None,
    dialect: Dialect | None = None,
) -> web.Response:
    """Return the response for an error, in the operation's dialect if that has one."""
    status = status or status_of(type(error))
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if error.errors:
        body["errors"] = [
            {"loc": field.loc, "msg": field.msg, "type": field.type} for field in error.errors
        ]
    if error.more_errors:
        body["more_errors"] = error.more_errors
    if isinstance(error, errors.InsufficientScope):
        body["scope"] = error.scope
    if isinstance(error, errors.LimitReached | errors.StorageFull):
        body["limit"] = error.limit
    if dialect is not None and dialect.show_problem is not None:
        body |= dialect.show_problem(body)
    response = web.Response(body=to_json(body), status=status, content_type=MEDIA_TYPE)
    if (challenge := _challenge(error)) is not None:
        response.headers[hdrs.WWW_AUTHENTICATE] = challenge
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return response


def _challenge(error: errors.ChatvaultError) -> str | None:
    """Return what RFC 6750 tells a client whose API key was refused."""
    if isinstance(error, errors.InvalidApiKey):
        return 'Bearer error="invalid_token"'
    if isinstance(error, errors.InsufficientScope):
        return f'Bearer error="insufficient_scope", scope="{error.scope}"'
    return None


def http_exception_response(error: web.HTTPException, *, request_id: str) -> web.Response:
    """Return aiohttp's own errors (unknown path, wrong method, …) as problems."""
    kinds: dict[int, type[errors.ChatvaultError]] = {404: UnknownPath, 405: MethodNotAllowed}
    kind = kinds.get(error.status, errors.InvalidInput)
    detail = None if error.status in kinds else f"{error.reason}."
    response = problem_response(kind(detail), request_id=request_id, status=error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ",".join(sorted(error.allowed_methods))
    return response
