"""The HTTP route of forks."""

from aiohttp import web

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.reading.wire import conversation_wire
from chatvault.conversations.schemas import ConversationOut, ConversationPath
from chatvault.errors import OF_QUOTAS, TooLarge
from chatvault.forking import service
from chatvault.forking.queue import ForkQueue
from chatvault.forking.schemas import ForkIn
from chatvault.http.requests import IdempotencyHeaders, etag, idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

FORK_COMMITS = web.AppKey("fork_commits", CommitQueue)
FORK_QUEUE = web.AppKey("fork_queue", ForkQueue)
routes = Routes("conversations")


@routes.route(
    "POST",
    "/conversations/{conversation_id}/fork",
    Action.CONVERSATION_FORK,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=ConversationOut,
    errors=(TooLarge, KeyReused, *OF_QUOTAS),
    sends=("ETag", "Link", "Location"),
)
async def fork_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: IdempotencyHeaders,
    body: ForkIn,
) -> web.StreamResponse:
    """Make a conversation of my own from a branch of this one.

    It has the branch's messages, up to one of them, with their ids, and the files they show.
    `metadata.forked_from` names where it comes from. The old conversation stays as it is.
    """
    made = await service.fork(
        actor,
        request.app[FORK_COMMITS],
        request.app[FORK_QUEUE],
        conversation_id=path.conversation_id,
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    conversation = made.conversation
    location = f"/conversations/{conversation['_id']}"
    sent = {"ETag": etag(conversation["version"]), "Location": location}
    if made.is_truncated:
        oldest = made.messages[0]["seq"] if made.messages else conversation["next_seq"]
        sent["Link"] = f'<{location}/messages?before={oldest}>; rel="prev"'
    return json_response(conversation_wire(made), status=201, headers=sent)
