"""HTTP routes of grants."""

from aiohttp import web

from chatvault.access import InsufficientGrant
from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import Throttled
from chatvault.http.requests import json_response
from chatvault.http.routing import Routes
from chatvault.sharing import service
from chatvault.sharing.schemas import GrantIn, GrantOut, GrantPath, GrantsOut, grant_wire
from chatvault.sharing.service import SharingDeps, TooManyGrants, TooManyToUser, UserNotFound
from chatvault.sharing.terms import Terms

SHARING_DEPS = web.AppKey("sharing_deps", SharingDeps)
PATH = "/conversations/{conversation_id}/grants"
routes = Routes("sharing")


@routes.route(
    "GET",
    PATH,
    Action.CONVERSATION_LIST_GRANTS,
    scope=Scope.CONVERSATIONS_READ,
    returns=GrantsOut,
    errors=(InsufficientGrant,),
)
async def list_grants(
    request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """List with whom a conversation is shared, the oldest grant first.

    For its owner alone. Those that have expired are listed, too, until they are ended.
    """
    found = await service.list_grants(
        actor, request.app[SHARING_DEPS], conversation_id=path.conversation_id
    )
    return json_response(GrantsOut(grants=[grant_wire(each) for each in found]))


@routes.route(
    "PUT",
    f"{PATH}/{{user}}",
    Action.CONVERSATION_SHARE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=GrantOut,
    errors=(InsufficientGrant, Throttled, UserNotFound, TooManyGrants, TooManyToUser),
)
async def set_grant(
    request: web.Request, actor: Actor, path: GrantPath, body: GrantIn
) -> web.StreamResponse:
    """Share a conversation with a user, or change what they may do with it.

    For its owner alone. `{user}` is a username or a user's id. A smaller role counts at once, as if
    the grant had ended.
    """
    grant = await service.set_grant(
        actor,
        request.app[SHARING_DEPS],
        conversation_id=path.conversation_id,
        user=path.user,
        terms=Terms(**dict(body)),
    )
    return json_response(grant_wire(grant))


@routes.route(
    "DELETE",
    f"{PATH}/{{user}}",
    Action.CONVERSATION_UNSHARE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(InsufficientGrant,),
)
async def end_grant(request: web.Request, actor: Actor, path: GrantPath) -> web.StreamResponse:
    """End a grant, at once and in every process.

    For the conversation's owner, and for the user who has the grant. What they stored before stays.
    """
    await service.end_grant(
        actor, request.app[SHARING_DEPS], conversation_id=path.conversation_id, user=path.user
    )
    return web.Response(status=204)
