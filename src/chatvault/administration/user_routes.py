"""HTTP routes of accounts for administrators, and of one-time tokens for anybody."""

from aiohttp import web

from chatvault.accounts.administrators import LastAdministrator
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.schemas import AdminUserOut, UserOut
from chatvault.actor import Actor, Scope
from chatvault.administration import service
from chatvault.administration.schemas import (
    EndedOut,
    FirstAdminIn,
    NewUserIn,
    PasswordResetIn,
    PasswordResetOut,
    ResetOut,
    UserChangeIn,
    UserDetailOut,
    UserPath,
)
from chatvault.administration.tokens import InvalidToken
from chatvault.audit.actions import Action
from chatvault.errors import (
    AlreadyTaken,
    BeingErased,
    Conflict,
    Denied,
    SessionRequired,
    Throttled,
)
from chatvault.http.requests import (
    RECORDER,
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.idempotency import KeyReused
from chatvault.mongodb.rates import Rate

TOKEN_RATE = web.AppKey("token_rate", Rate)
NEW_PASSWORDS = web.AppKey("new_passwords", PasswordHasher)
PATH = "/admin/users/{user_id}"
COUNTS = ("sessions", "api_keys", "conversations", "messages", "bytes")
routes = Routes("administration")


@routes.route(
    "POST",
    "/admin/users",
    Action.USER_CREATE,
    scope=Scope.ADMIN,
    status=201,
    returns=AdminUserOut,
    errors=(Denied, SessionRequired, AlreadyTaken, KeyReused),
)
async def create_user(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: NewUserIn
) -> web.StreamResponse:
    """Make an account.

    For admins. Without a password, make a token with `PUT …/password-reset`, with which the user
    sets one. An API key makes accounts with the role `user` only.
    """
    key = await idempotency_key_of(request, headers)
    user = await service.create_user(
        actor, request.app[NEW_PASSWORDS], wanted=body, idempotency_key=key
    )
    return json_response(AdminUserOut.model_validate(user), status=201)


@routes.route(
    "GET", PATH, Action.USER_GET, scope=Scope.ADMIN, returns=UserDetailOut, errors=(Denied,)
)
async def get_user(request: web.Request, actor: Actor, path: UserPath) -> web.StreamResponse:
    """Read an account, and the numbers of its sessions, API keys, conversations and messages.

    For admins. What the user wrote is not shown to anybody.
    """
    shown = await service.get_user(actor, request.app[RECORDER], user_id=path.user_id)
    return json_response(
        UserDetailOut(
            **AdminUserOut.model_validate(shown.user).model_dump(),
            email=shown.user.email,
            is_being_erased=shown.user.erasure is not None,
            **{name: getattr(shown, name) for name in COUNTS},
        )
    )


@routes.route(
    "PATCH",
    PATH,
    Action.USER_UPDATE,
    scope=Scope.ADMIN,
    returns=AdminUserOut,
    errors=(Denied, SessionRequired, AlreadyTaken, BeingErased, LastAdministrator),
)
async def change_user(
    _: web.Request, actor: Actor, path: UserPath, body: UserChangeIn
) -> web.StreamResponse:
    """Change a role, close or open an account, or rename it.

    For admins. Closing it and a new role end its sessions at once; while it is closed, its API keys
    are refused. The last administrator keeps the role. An API key gives nobody but `user`.
    """
    user = await service.change_user(actor, user_id=path.user_id, wanted=body)
    return json_response(AdminUserOut.model_validate(user))


@routes.route(
    "DELETE",
    PATH + "/sessions",
    Action.USER_END_SESSIONS,
    scope=Scope.ADMIN,
    returns=EndedOut,
    errors=(Denied,),
)
async def end_user_sessions(_: web.Request, actor: Actor, path: UserPath) -> web.StreamResponse:
    """End all sessions of an account, and what they have open.

    For admins.
    """
    return json_response(EndedOut(ended=await service.end_sessions(actor, user_id=path.user_id)))


@routes.route(
    "DELETE",
    PATH + "/keys",
    Action.USER_REVOKE_KEYS,
    scope=Scope.ADMIN,
    returns=EndedOut,
    errors=(Denied,),
)
async def revoke_user_keys(_: web.Request, actor: Actor, path: UserPath) -> web.StreamResponse:
    """Revoke all API keys of an account, and break off what they have open.

    For admins.
    """
    return json_response(EndedOut(ended=await service.revoke_keys(actor, user_id=path.user_id)))


@routes.route(
    "PUT",
    PATH + "/password-reset",
    Action.USER_CREATE_RESET,
    scope=SESSION_ONLY,
    returns=ResetOut,
    errors=(Denied, BeingErased, Conflict),
)
async def create_reset(_: web.Request, actor: Actor, path: UserPath) -> web.StreamResponse:
    """Make a token with which the user sets a new password.

    For admins. It is good for a day and for one use, and replaces the one before. The password that
    the account has stays until then.
    """
    reset = await service.create_reset(actor, user_id=path.user_id)
    return json_response(ResetOut(token=reset.token, expires_at=reset.expires_at))


@routes.route(
    "POST",
    "/auth/password-reset",
    Action.USER_RESET_PASSWORD,
    returns=PasswordResetOut,
    errors=(InvalidToken, Throttled),
)
async def reset_password(
    request: web.Request, caller: Actor, body: PasswordResetIn
) -> web.StreamResponse:
    """Set a password by a token from an administrator; all sessions of the account end.

    It signs nobody in.
    """
    await service.reset_password(
        caller,
        request.app[NEW_PASSWORDS],
        request.app[TOKEN_RATE],
        token=body.token,
        new_password=body.new_password,
    )
    return json_response(PasswordResetOut(message="Password set"))


@routes.route(
    "POST",
    "/auth/first-admin",
    Action.USER_CREATE,
    returns=UserOut,
    errors=(InvalidToken, AlreadyTaken, Throttled),
)
async def become_first_admin(
    request: web.Request, caller: Actor, body: FirstAdminIn
) -> web.StreamResponse:
    """Make the account of the first administrator, by the token that the first start printed.

    The token is good for a day, for one use, and while nobody administrates. It signs nobody in.
    """
    user = await service.become_first_admin(
        caller, request.app[NEW_PASSWORDS], request.app[TOKEN_RATE], wanted=body
    )
    return json_response(UserOut.model_validate(user))
