"""Accounts over HTTP."""

from aiohttp import web

from chatvault.accounts import service
from chatvault.accounts.passwords import PasswordHasher
from chatvault.accounts.schemas import PasswordChangeIn, PasswordChangeOut, RegisterIn, UserOut
from chatvault.accounts.throttle import LoginThrottle, RegistrationThrottle
from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.errors import AlreadyTaken, InvalidCredentials, RegistrationClosed, Throttled
from chatvault.http.requests import RECORDER, SETTINGS, json_response
from chatvault.http.routing import Routes
from chatvault.settings import Registration

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
        is_open=request.app[SETTINGS].registration is Registration.OPEN,
    )
    return json_response(UserOut.model_validate(user))


@routes.route("GET", "/auth/me", Action.USER_GET, returns=UserOut)
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
