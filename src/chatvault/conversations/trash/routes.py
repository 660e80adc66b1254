"""HTTP routes of deletions, and of the trash that deleted conversations are put into."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.headers import ConditionalHeaders, ConditionalRepeatHeaders
from chatvault.conversations.holds import UnderHold
from chatvault.conversations.routes import ViewQuery, answer
from chatvault.conversations.schemas import (
    ConversationOut,
    ConversationPath,
    ConversationSummary,
    DeletedOut,
    EmptiedOut,
)
from chatvault.conversations.trash import service as trash_service
from chatvault.conversations.trash.service import TrashDeps
from chatvault.errors import StaleVersion
from chatvault.http.requests import idempotency_key_of, json_response
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

TRASH_DEPS = web.AppKey("trash_deps", TrashDeps)
routes = Routes("conversations")


class DeletionQuery(BaseModel):
    """The query of a deletion."""

    model_config = ConfigDict(extra="forbid")

    permanent: bool = Field(
        default=False, description="delete it for good, also if it is in the trash"
    )


@routes.route(
    "DELETE",
    "/conversations",
    Action.CONVERSATION_DELETE_ALL,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=DeletedOut,
)
async def delete_conversations(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Put all my conversations into the trash.

    Where the trash is switched off (`CHATVAULT_TRASH_DAYS=0`), they are deleted permanently.
    """
    deleted = await trash_service.delete_all(actor, request.app[TRASH_DEPS])
    message = f"Deleted {deleted} conversation{'' if deleted == 1 else 's'}"
    return json_response(DeletedOut(deleted_count=deleted, message=message))


@routes.route(
    "DELETE",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_TRASH,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(StaleVersion, UnderHold),
)
async def delete_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: DeletionQuery,
    headers: ConditionalHeaders,
) -> web.StreamResponse:
    """Put a conversation into the trash, or delete it permanently.

    In the trash it is in no list and cannot be read; `restore` brings it back, and after
    `CHATVAULT_TRASH_DAYS` days it is deleted permanently. With `permanent=true` that is done now,
    with its messages, revisions, replies and commands, also if it is in the trash.
    """
    await trash_service.delete(
        actor,
        request.app[TRASH_DEPS],
        conversation_id=path.conversation_id,
        precondition=headers.precondition,
        permanent=query.permanent,
    )
    return web.Response(status=204)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/restore",
    Action.CONVERSATION_RESTORE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ConversationOut | ConversationSummary,
    errors=(StaleVersion, KeyReused),
    sends=("ETag", "Link"),
)
async def restore_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: ViewQuery,
    headers: ConditionalRepeatHeaders,
) -> web.StreamResponse:
    """Take a conversation out of the trash.

    It has its messages, tags and status again; its category, if that still exists. One that is not
    in the trash stays as it is.
    """
    shown = await trash_service.restore_and_show(
        actor,
        request.app[TRASH_DEPS],
        conversation_id=path.conversation_id,
        precondition=headers.precondition,
        idempotency_key=await idempotency_key_of(request, headers),
        with_messages=query.with_messages,
    )
    return answer(shown, with_messages=query.with_messages)


@routes.route(
    "DELETE",
    "/trash",
    Action.CONVERSATION_EMPTY_TRASH,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=EmptiedOut,
    errors=(UnderHold,),
)
async def empty_trash(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Delete what is in my trash permanently, up to 1,000 conversations.

    If `has_more` is true, repeat it for the rest. What a legal hold keeps stays.
    """
    deleted, has_more = await trash_service.empty(actor, request.app[TRASH_DEPS])
    return json_response(EmptiedOut(deleted_count=deleted, has_more=has_more))
