"""HTTP routes of logins and sessions."""

import aiohttp_session
from aiohttp import web

from chatvault.accounts.schemas import UserOut
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.errors import InvalidCredentials, Throttled
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.sessions import service
from chatvault.sessions.schemas import (
    LoginIn,
    LoginOut,
    MessageOut,
    RevokedOut,
    SessionOut,
    SessionPath,
)
from chatvault.sessions.service import LoginDeps

LOGIN_DEPS = web.AppKey("gate", LoginDeps)
routes = Routes("sessions")


@routes.route(
    "POST",
    "/auth/login",
    Action.SESSION_LOGIN,
    returns=LoginOut,
    errors=(InvalidCredentials, Throttled),
    sends=("Set-Cookie",),
)
async def login(request: web.Request, caller: Actor, body: LoginIn) -> web.StreamResponse:
    """Sign in; the answer sets the cookie `session_id`.

    An unknown name, a wrong password and a closed account get the same answer. Too many tries
    in a short time are refused with 429.
    """
    signed_in = await service.login(
        caller, request.app[LOGIN_DEPS], username=body.username, password=body.password
    )
    session = await aiohttp_session.new_session(request)
    session.set_new_identity(signed_in.token)
    session["id"] = signed_in.session.id
    user = UserOut.model_validate(signed_in.user)
    return json_response(LoginOut(message="Login successful", user=user))


@routes.route(
    "POST",
    "/auth/logout",
    Action.SESSION_LOGOUT,
    scope=SESSION_ONLY,
    returns=MessageOut,
    sends=("Set-Cookie",),
)
async def logout(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Sign out; the session ends at once, everywhere.

    The cookie is taken back as well.
    """
    await service.logout(actor)
    (await aiohttp_session.get_session(request)).invalidate()
    return json_response(MessageOut(message="Logout successful"))


@routes.route(
    "GET", "/auth/sessions", Action.SESSION_LIST, scope=SESSION_ONLY, returns=list[SessionOut]
)
async def list_sessions(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my sessions: since when, from where, and which is this one.

    The newest first. Those that have ended are not in it.
    """
    sessions = await service.list_mine(actor, request.app[RECORDER])
    shown = [SessionOut.model_validate(session) for session in sessions]
    return json_response(
        [each.model_copy(update={"current": each.id == actor.session_id}) for each in shown]
    )


@routes.route(
    "DELETE", "/auth/sessions", Action.SESSION_REVOKE_OTHERS, scope=SESSION_ONLY, returns=RevokedOut
)
async def revoke_other_sessions(_request: web.Request, actor: Actor) -> web.StreamResponse:
    """End all my sessions but this one.

    Whoever uses them has to sign in again.
    """
    revoked = await service.revoke_others(actor)
    message = f"Ended {revoked} other session{'' if revoked == 1 else 's'}"
    return json_response(RevokedOut(revoked_count=revoked, message=message))


@routes.route(
    "DELETE", "/auth/sessions/{session_id}", Action.SESSION_REVOKE, scope=SESSION_ONLY, status=204
)
async def revoke_session(
    _request: web.Request, actor: Actor, path: SessionPath
) -> web.StreamResponse:
    """End one of my sessions.

    It may be this one, too.
    """
    await service.revoke(actor, session_id=path.session_id)
    return web.Response(status=204)
