"""HTTP routes of accounts."""

from aiohttp import web

from chatvault.accounts import review, service
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.schemas import (
    AdminUserOut,
    PasswordChangeIn,
    PasswordChangeOut,
    RegisterIn,
    UserOut,
    UsersQuery,
)
from chatvault.accounts.throttle import LoginThrottle, RegistrationThrottle
from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.cursors import encode_name_cursor
from chatvault.errors import (
    AlreadyTaken,
    Denied,
    InvalidCredentials,
    RegistrationClosed,
    Throttled,
)
from chatvault.http.requests import RECORDER, SETTINGS, json_response, link_to
from chatvault.http.routing import SESSION_ONLY, Routes

HASHER = web.AppKey("hasher", PasswordHasher)
THROTTLE = web.AppKey("throttle", LoginThrottle)
REGISTRATIONS = web.AppKey("registrations", RegistrationThrottle)
routes = Routes("accounts")


@routes.route(
    "POST",
    "/auth/register",
    Action.USER_CREATE,
    returns=UserOut,
    errors=(AlreadyTaken, RegistrationClosed, Throttled),
)
async def register(request: web.Request, caller: Actor, body: RegisterIn) -> web.StreamResponse:
    """Make an account.

    Anyone may, where `CHATVAULT_REGISTRATION` is open. The name and the address must be free.
    It signs nobody in.
    """
    user = await service.register(
        caller,
        request.app[HASHER],
        request.app[REGISTRATIONS],
        username=body.username,
        email=body.email,
        password=body.password,
        full_name=body.full_name,
        is_open=request.app[SETTINGS].is_registration_open,
    )
    return json_response(UserOut.model_validate(user))


@routes.route("GET", "/auth/me", Action.USER_GET, scope=Scope.CONVERSATIONS_READ, returns=UserOut)
async def get_me(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Read my account.

    The account whose session the cookie names.
    """
    user = await service.get_me(actor, request.app[RECORDER])
    return json_response(UserOut.model_validate(user))


@routes.route(
    "POST",
    "/auth/password",
    Action.USER_PASSWORD,
    scope=SESSION_ONLY,
    returns=PasswordChangeOut,
    errors=(InvalidCredentials, Throttled),
)
async def change_password(
    request: web.Request, actor: Actor, body: PasswordChangeIn
) -> web.StreamResponse:
    """Change my password, which ends my other sessions.

    The current password has to be given again. Attempts count like those of signing in.
    """
    revoked = await service.change_password(
        actor,
        request.app[HASHER],
        request.app[THROTTLE],
        current_password=body.current_password,
        new_password=body.new_password,
    )
    return json_response(PasswordChangeOut(message="Password changed", revoked_count=revoked))


@routes.route(
    "GET",
    "/admin/users",
    Action.USER_LIST,
    scope=Scope.ADMIN,
    returns=list[AdminUserOut],
    errors=(Denied,),
    sends=("Link",),
)
async def list_users(request: web.Request, actor: Actor, query: UsersQuery) -> web.StreamResponse:
    """List accounts by name; `Link` leads to the page after.

    For admins. All that is given has to match.
    """
    users = await review.search_users(actor, request.app[RECORDER], query=query)
    headers = {}
    if len(users) == query.limit:
        cursor = encode_name_cursor(users[-1].username_key)
        headers["Link"] = f'<{link_to(request, cursor=cursor)}>; rel="next"'
    return json_response([AdminUserOut.model_validate(user) for user in users], headers=headers)
