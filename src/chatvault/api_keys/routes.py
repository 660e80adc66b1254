"""HTTP routes of API keys."""

from aiohttp import web

from chatvault.actor import Actor
from chatvault.api_keys import service
from chatvault.api_keys.schemas import (
    ApiKeyIn,
    ApiKeyOut,
    ApiKeyPath,
    NewApiKeyOut,
    RevokedKeysOut,
)
from chatvault.api_keys.service import TooManyKeys
from chatvault.audit.actions import Action
from chatvault.errors import Denied, Throttled
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import SESSION_ONLY, Routes
from chatvault.mongodb.rates import Rate

KEY_RATE = web.AppKey("key_rate", Rate)
PATH = "/auth/keys"
routes = Routes("keys")


@routes.route("GET", PATH, Action.API_KEY_LIST, scope=SESSION_ONLY, returns=list[ApiKeyOut])
async def list_keys(request: web.Request, actor: Actor) -> web.StreamResponse:
    """List my API keys, and when each was last used.

    The newest first. An expired key stays in the list for 30 days, a revoked one does not.
    """
    keys = await service.list_mine(actor, request.app[RECORDER])
    return json_response([ApiKeyOut.model_validate(key) for key in keys])


@routes.route(
    "POST",
    PATH,
    Action.API_KEY_CREATE,
    scope=SESSION_ONLY,
    status=201,
    returns=NewApiKeyOut,
    errors=(Denied, Throttled, TooManyKeys),
)
async def create_key(request: web.Request, actor: Actor, body: ApiKeyIn) -> web.StreamResponse:
    """Make an API key; only this answer shows it.

    Programs send it as `Authorization: Bearer cv_…`. It may do what its scopes name, and never
    more than I may.
    """
    created = await service.create(actor, request.app[KEY_RATE], wanted=body)
    shown = ApiKeyOut.model_validate(created.key).model_dump()
    return json_response(NewApiKeyOut(**shown, key=created.secret), status=201)


@routes.route("DELETE", PATH, Action.API_KEY_REVOKE_ALL, scope=SESSION_ONLY, returns=RevokedKeysOut)
async def revoke_keys(_request: web.Request, actor: Actor) -> web.StreamResponse:
    """Revoke all my API keys.

    They are refused from now on, everywhere, and what they have open breaks off.
    """
    revoked = await service.revoke_all(actor)
    message = f"Revoked {revoked} API key{'' if revoked == 1 else 's'}"
    return json_response(RevokedKeysOut(revoked_count=revoked, message=message))


@routes.route("DELETE", PATH + "/{key_id}", Action.API_KEY_REVOKE, scope=SESSION_ONLY, status=204)
async def revoke_key(_request: web.Request, actor: Actor, path: ApiKeyPath) -> web.StreamResponse:
    """Revoke one of my API keys.

    It is refused from now on, everywhere, and what it has open breaks off.
    """
    await service.revoke(actor, key_id=path.key_id)
    return web.Response(status=204)
