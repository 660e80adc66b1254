"""HTTP routes of preferences."""

from typing import Any

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.http.bodies import FREE_BODY
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.preferences import service
from chatvault.preferences.schemas import PreferencesIn, PreferencesOut

PATH = "/users/me/preferences"
routes = Routes("preferences")


def _answer(values: dict[str, Any]) -> web.Response:
    return json_response(PreferencesOut.model_validate(values))


@routes.route(
    "GET", PATH, Action.PREFERENCES_GET, scope=Scope.CONVERSATIONS_READ, returns=PreferencesOut
)
async def get_preferences(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Read my preferences; what I never set has its default.

    Further keys that were stored come back as they were sent.
    """
    return _answer(await service.get(actor, request.app[RECORDER]))


@routes.route(
    "PUT",
    PATH,
    Action.PREFERENCES_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=PreferencesOut,
    max_body=FREE_BODY,
)
async def put_preferences(
    _request: web.Request, actor: Actor, body: PreferencesIn
) -> web.StreamResponse:
    """Replace all my preferences.

    What is not named gets its default. Further keys are kept as they are sent.
    """
    values = body.model_dump(mode="json", exclude_unset=True)
    return _answer(await service.replace(actor, values=values))


@routes.route(
    "PATCH",
    PATH,
    Action.PREFERENCES_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=PreferencesOut,
    max_body=FREE_BODY,
)
async def patch_preferences(
    _request: web.Request, actor: Actor, body: PreferencesIn
) -> web.StreamResponse:
    """Merge into my preferences; null sets one back (RFC 7396).

    What is not named stays. Objects are merged key by key.
    """
    values = body.model_dump(mode="json", exclude_unset=True)
    return _answer(await service.patch(actor, values=values))
