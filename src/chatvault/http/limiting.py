"""Limits of requests a minute at the door: which operations count, and the headers that say so."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.limits import OperationClass, RateState

# Counts a request of an actor's against their limits; raises LimitReached.
Admit = Callable[[Actor, OperationClass], Awaitable[tuple[RateState, ...]]]
ADMIT: web.AppKey[Admit] = web.AppKey("admit")
# The limits that a request counted against, as its answer shows them.
RATES = web.RequestKey("rates", tuple[RateState, ...])
RATE_LIMIT = "RateLimit"
RATE_LIMIT_POLICY = "RateLimit-Policy"
# Administrators can always change limits, and reviewers read the log.
UNLIMITED = (Scope.ADMIN, Scope.AUDIT_READ)
UNLIMITED_ROOTS = ("/auth/", "/admin/")
SEARCH = "/search"


def class_of(method: str, path: str, scope: Any) -> OperationClass | None:
    """Return the class of an operation; None for one that is not limited by class.

    Args:
        method: of the route.
        path: of the route.
        scope: what an API key needs; None if anyone may call it, whom no quota can be of.
    """
    if scope is None or scope in UNLIMITED or path.startswith(UNLIMITED_ROOTS):
        return None
    if scope == Scope.EXPORT:
        return OperationClass.EXPORT
    if path == SEARCH:
        return OperationClass.SEARCH
    return OperationClass.READ if method == "GET" else OperationClass.WRITE


def headers_of(states: Iterable[RateState]) -> Mapping[str, str]:
    """Return the headers that show limits, as structured fields (the IETF's RateLimit draft)."""
    shown = list(states)
    return {
        RATE_LIMIT_POLICY: ", ".join(
            f'"{each.policy}";q={each.amount};w={each.seconds}' for each in shown
        ),
        RATE_LIMIT: ", ".join(
            f'"{each.policy}";r={each.left};t={max(1, round(each.resets_in))}' for each in shown
        ),
    }
