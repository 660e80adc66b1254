"""HTTP routes of one's data as a whole: what is stored, and its erasure."""

import aiohttp_session
from aiohttp import web

from chatvault.accounts.administrators import LastAdministrator
from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.erasure import review, service
from chatvault.erasure.errors import HeldForLaw, ServiceAccount
from chatvault.erasure.schemas import (
    ErasedUserPath,
    ErasureHeaders,
    ErasureIn,
    ErasureOut,
    ErasurePath,
    MyDataOut,
    NewErasureOut,
)
from chatvault.erasure.service import ErasureDeps
from chatvault.errors import BeingErased, Denied, InvalidCredentials, NotFound, Throttled
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import SESSION_ONLY, Routes

ERASURE_DEPS = web.AppKey("erasure_deps", ErasureDeps)
routes = Routes("my data")


@routes.route(
    "GET", "/users/me/data", Action.USER_COUNT_DATA, scope=Scope.EXPORT, returns=MyDataOut
)
async def count_data(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Count what is stored of me, by kind, with sizes.

    Sizes are those before MongoDB compresses.
    """
    stored = await review.count_mine(actor, request.app[RECORDER])
    return json_response(MyDataOut.of(stored))


@routes.route(
    "DELETE",
    "/users/me",
    Action.USER_ERASE,
    scope=SESSION_ONLY,
    status=202,
    returns=NewErasureOut,
    errors=(
        InvalidCredentials,
        Throttled,
        HeldForLaw,
        LastAdministrator,
        BeingErased,
    ),
    sends=("Set-Cookie",),
)
async def erase_me(request: web.Request, actor: Actor, body: ErasureIn) -> web.StreamResponse:
    """Erase my account with everything in it; this cannot be undone.

    The password has to be given again. The account is closed at once: all sessions and API keys
    end. Everything is then removed within minutes, in the background. The answer's token reads how
    far that is.
    """
    begun = await service.begin_mine(actor, request.app[ERASURE_DEPS], password=body.password)
    (await aiohttp_session.get_session(request)).invalidate()
    return json_response(NewErasureOut.begun(begun.erasure, begun.token), status=202)


@routes.route(
    "DELETE",
    "/admin/users/{user_id}",
    Action.USER_ERASE,
    scope=SESSION_ONLY,
    status=202,
    returns=NewErasureOut,
    errors=(Denied, HeldForLaw, LastAdministrator, ServiceAccount, BeingErased),
)
async def erase_user(
    request: web.Request, actor: Actor, path: ErasedUserPath
) -> web.StreamResponse:
    """Erase an account with everything in it; this cannot be undone.

    For admins. The account is closed at once: all sessions and API keys end. The answer's token
    reads how far the erasure is, without an account.
    """
    begun = await service.begin_for(actor, request.app[ERASURE_DEPS], user_id=path.user_id)
    return json_response(NewErasureOut.begun(begun.erasure, begun.token), status=202)


@routes.route(
    "GET",
    "/erasures/{erasure_id}",
    Action.USER_GET_ERASURE,
    returns=ErasureOut,
    errors=(NotFound,),
)
async def get_erasure(
    request: web.Request, caller: Actor, path: ErasurePath, headers: ErasureHeaders
) -> web.StreamResponse:
    """Read how far an erasure is, without an account.

    The header `Erasure-Token` has the token from the answer that began it.
    """
    found = await service.get_with_token(
        caller, request.app[RECORDER], erasure_id=path.erasure_id, token=headers.token
    )
    return json_response(ErasureOut.of(found))
