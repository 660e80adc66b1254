"""HTTP route of a conversation's people."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.http.requests import RECORDER, json_response
from chatvault.http.routing import Routes
from chatvault.people import service
from chatvault.people.schemas import PeopleOut, people_wire

routes = Routes("sharing")


@routes.route(
    "GET",
    "/conversations/{conversation_id}/people",
    Action.CONVERSATION_LIST_PEOPLE,
    scope=Scope.CONVERSATIONS_READ,
    returns=PeopleOut,
)
async def list_people(
    request: web.Request, actor: Actor, path: ConversationPath
) -> web.StreamResponse:
    """List who owns a conversation, who may change something in it, and who wrote in it.

    For its owner and for everybody with whom it is shared; viewers are named to the owner and to
    themselves alone. `role` is that of whoever asks.
    """
    found = await service.list_people(
        actor, request.app[RECORDER], conversation_id=path.conversation_id
    )
    return json_response(people_wire(found))
