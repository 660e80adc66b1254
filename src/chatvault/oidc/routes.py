"""HTTP routes of signing in with an identity provider, by OpenID Connect."""

from urllib.parse import parse_qs, urlsplit

import aiohttp_session
from aiohttp import web
from yarl import URL

from chatvault.accounts.schemas import UserOut
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.errors import (
    InvalidCredentials,
    InvalidInput,
    RegistrationClosed,
    Throttled,
)
from chatvault.http.bodies import read_body
from chatvault.http.requests import ON_ERROR, SCHEME, SETTINGS, json_response
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.oidc import service
from chatvault.oidc.cookies import PATIENCE, Pending, open_cookie
from chatvault.oidc.errors import (
    AlreadyLinked,
    EmailInUse,
    IdentityInUse,
    InvalidIdentity,
    InvalidLogoutToken,
    NoOidc,
    NoPassword,
    SignInExpired,
    SignInRefused,
)
from chatvault.oidc.identity import Answer
from chatvault.oidc.schemas import CallbackQuery, IdentityLinkIn, IdentityLinkOut, OidcLoginQuery
from chatvault.oidc.service import Begun, OidcDeps
from chatvault.settings import Switch

OIDC_DEPS = web.AppKey("oidc_deps", OidcDeps)
COOKIE = "oidc"
PATH = "/auth/oidc"
CALLBACK = f"{PATH}/callback"
MAX_LOGOUT_BYTES = 16_384
routes = Routes("single sign-on")


@routes.route(
    "GET",
    f"{PATH}/login",
    None,
    status=303,
    errors=(NoOidc, Throttled),
    sends=("Location", "Set-Cookie"),
)
async def oidc_login(
    request: web.Request, caller: Actor, query: OidcLoginQuery
) -> web.StreamResponse:
    """Send the browser to the identity provider.

    A page leads there by a link; it is no call for a script.
    """
    return_to = _checked(request, query.return_to, "query")
    begun = await service.begin(
        caller, request.app[OIDC_DEPS], return_to=return_to, redirect_uri=_redirect_uri(request)
    )
    return _with_cookie(request, _to(begun.location), begun)


@routes.route(
    "GET",
    CALLBACK,
    Action.SESSION_LOGIN,
    status=303,
    errors=(
        *(NoOidc, SignInExpired, SignInRefused, InvalidIdentity, InvalidCredentials),
        *(RegistrationClosed, EmailInUse, IdentityInUse, AlreadyLinked, Throttled),
    ),
    sends=("Location", "Set-Cookie"),
)
async def oidc_callback(
    request: web.Request, caller: Actor, query: CallbackQuery
) -> web.StreamResponse:
    """Sign in whom the identity provider sends back, and redirect to where they wanted to be.

    If that fails, the browser goes to the sign-in page, or to a frontend elsewhere, with the code
    of the problem in `problem`.
    """
    deps = request.app[OIDC_DEPS]
    pending = _pending(request)
    return_to = "/" if pending is None else pending.return_to
    is_own = pending is None or (pending.user_id is None and return_to.startswith("/"))
    if not is_own or request.app[SETTINGS].ui is Switch.ON:
        request[ON_ERROR] = URL("/login" if is_own else return_to)
    answer = Answer(query.state, query.code, query.error, query.iss)
    signed_in = await service.finish(caller, deps, pending=pending, answer=answer)
    session = await aiohttp_session.new_session(request)
    session.set_new_identity(signed_in.token)
    session["id"] = signed_in.session.id
    response = _to(return_to)
    response.del_cookie(COOKIE, path=PATH, secure=_is_secure(request), httponly=True)
    return response


@routes.route(
    "POST",
    f"{PATH}/link",
    Action.USER_BEGIN_LINK,
    scope=SESSION_ONLY,
    returns=IdentityLinkOut,
    errors=(NoOidc, AlreadyLinked, Throttled),
    sends=("Set-Cookie",),
)
async def begin_link(
    request: web.Request, actor: Actor, body: IdentityLinkIn
) -> web.StreamResponse:
    """Begin to link my account to an identity: the browser goes to `location` next.

    Once the identity provider has sent it back, I can sign in with that identity.
    """
    begun = await service.begin_link(
        actor,
        request.app[OIDC_DEPS],
        return_to=_checked(request, body.return_to, "body"),
        redirect_uri=_redirect_uri(request),
    )
    return _with_cookie(request, json_response(IdentityLinkOut(location=begun.location)), begun)


@routes.route(
    "DELETE",
    f"{PATH}/link",
    Action.USER_UNLINK_IDENTITY,
    scope=SESSION_ONLY,
    returns=UserOut,
    errors=(NoOidc, NoPassword),
)
async def unlink(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Take the identity from my account.

    I sign in with the password then; an account without one keeps its identity.
    """
    user = await service.unlink(actor, request.app[OIDC_DEPS])
    return json_response(UserOut.model_validate(user))


@routes.route(
    "POST",
    f"{PATH}/backchannel-logout",
    Action.SESSION_END_BY_PROVIDER,
    errors=(NoOidc, InvalidLogoutToken, Throttled),
    takes="A form with `logout_token`.",
)
async def backchannel_logout(request: web.Request, caller: Actor) -> web.StreamResponse:
    """End the sessions of somebody who has signed out with the identity provider.

    For the provider: OpenID Connect Back-Channel Logout 1.0.
    """
    form = parse_qs((await read_body(request, MAX_LOGOUT_BYTES)).decode("utf-8", "replace"))
    token = next(iter(form.get("logout_token", ())), "")
    await service.end_sessions(caller, request.app[OIDC_DEPS], logout_token=token)
    return web.Response()


def _checked(request: web.Request, return_to: str, where: str) -> str:
    """Return where a sign-in goes after it.

    Raises:
        InvalidInput: it is neither here nor an allowed origin's.
    """
    # A browser reads a backslash as a slash, and two slashes as another host.
    is_here = return_to.startswith("/") and not return_to[1:].startswith(("/", "\\"))
    is_allowed = _origin_of(return_to) in request.app[SETTINGS].allowed_origins
    if (is_here or is_allowed) and return_to.isprintable():
        return return_to
    detail = "should be a path here or an address at an allowed origin"
    raise InvalidInput.in_field(where, "return_to", problem=detail, kind="return_to")


def _origin_of(address: str) -> str:
    """Return the origin of an address; empty if it is none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _pending(request: web.Request) -> Pending | None:
    """Return the sign-in that this browser has begun."""
    return open_cookie(request.app[OIDC_DEPS].key, request.cookies.get(COOKIE, ""))


def _redirect_uri(request: web.Request) -> str:
    return f"{request[SCHEME]}://{request.host}{CALLBACK}"


def _is_secure(request: web.Request) -> bool:
    return request[SCHEME] == "https"


def _to(location: str) -> web.Response:
    return web.Response(status=303, headers={"Location": location})


def _with_cookie(request: web.Request, response: web.Response, begun: Begun) -> web.Response:
    """Return the response with the cookie that the browser brings back."""
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=int(PATIENCE.total_seconds()),
        path=PATH,
        secure=_is_secure(request),
        httponly=True,
        samesite="Lax",
    )
    return response
