"""HTTP routes of conversations."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from chatvault.actor import Actor, Scope
from chatvault.agents.models import ModelNotConfigured
from chatvault.audit.actions import Action
from chatvault.conversations import service
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.headers import (
    ConditionalHeaders,
    ConditionalRepeatHeaders,
    ReadHeaders,
)
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.reading.wire import conversation_wire, summary_wire
from chatvault.conversations.schemas import (
    ArchiveIn,
    ConversationCreate,
    ConversationOut,
    ConversationPatch,
    ConversationPath,
    ConversationSummary,
    ConversationUpdate,
    CountOut,
)
from chatvault.conversations.store import MessageStore
from chatvault.conversations.templates import TemplateNotFound
from chatvault.errors import OF_QUOTAS, PreconditionRequired, StaleVersion, Throttled, TooLarge
from chatvault.http.bodies import BULK_BODY, FREE_BODY
from chatvault.http.requests import (
    RECORDER,
    IdempotencyHeaders,
    etag,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

COMMITS = web.AppKey("commits", CommitQueue)
STORE = web.AppKey("store", MessageStore)
START_WITH_REPLY = web.AppKey("start_with_reply", service.StartsWithReply)
routes = Routes("conversations")


class ViewQuery(BaseModel):
    """The query of a conversation: complete, or without messages."""

    model_config = ConfigDict(extra="forbid")

    view: str = Field("full", pattern="^(full|summary)$", description="summary: without messages")

    @property
    def with_messages(self) -> bool:
        """Whether messages are included."""
        return self.view == "full"


def answer(
    shown: ConversationView, *, status: int = 200, with_messages: bool = True
) -> web.Response:
    """Return a conversation with its messages; if some are left out, `Link` refers to them."""
    conversation = shown.conversation
    if not with_messages:
        tag = etag(conversation["version"])
        return json_response(summary_wire(conversation), headers={"ETag": tag})
    path = f"/conversations/{conversation['_id']}"
    headers = {"ETag": etag(conversation["version"])}
    if status == 201:  # noqa: PLR2004  # Created
        headers["Location"] = path
    if shown.is_truncated:
        oldest = shown.messages[0]["seq"] if shown.messages else conversation["next_seq"]
        headers["Link"] = f'<{path}/messages?before={oldest}>; rel="prev"'
    return json_response(conversation_wire(shown), status=status, headers=headers)


@routes.route(
    "POST",
    "/conversations",
    Action.CONVERSATION_CREATE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=201,
    returns=ConversationOut,
    errors=(TooLarge, KeyReused, ModelNotConfigured, Throttled, TemplateNotFound, *OF_QUOTAS),
    sends=("ETag", "Link", "Location"),
    max_body=BULK_BODY,
)
async def create_conversation(
    request: web.Request, actor: Actor, headers: IdempotencyHeaders, body: ConversationCreate
) -> web.StreamResponse:
    """Create a conversation, and send its first message to the agent if there is one.

    It may have messages or be empty. `initial_message` is sent to the agent at once, and the reply
    has been started when the response arrives. `template_id` names a template, which gives the
    fields that are not given, with `variables` filled in.
    """
    begun = await service.start_conversation(
        actor,
        request.app[COMMITS],
        request.app[START_WITH_REPLY],
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    return answer(begun, status=201)


@routes.route(
    "GET",
    "/conversations/stats/count",
    Action.CONVERSATION_COUNT,
    scope=Scope.CONVERSATIONS_READ,
    returns=CountOut,
)
async def count_conversations(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Count my conversations.

    The count includes archived conversations.
    """
    count = await service.count(actor, request.app[STORE], request.app[RECORDER])
    return json_response(CountOut(count=count))


@routes.route(
    "GET",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=ConversationOut | ConversationSummary,
    sends=("ETag", "Link"),
)
async def get_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: ViewQuery,
    headers: ReadHeaders,
) -> web.StreamResponse:
    """Read one conversation.

    It has its messages, or the newest if they are too many: `messages_truncated` is then true,
    and `Link` refers to the rest. With `view=summary` it has no messages.
    """
    shown = await service.get_unless_known(
        actor,
        request.app[STORE],
        request.app[RECORDER],
        conversation_id=path.conversation_id,
        known=headers.known,
        with_messages=query.with_messages,
    )
    if isinstance(shown, int):
        return web.Response(status=304, headers={"ETag": etag(shown)})
    return answer(shown, with_messages=query.with_messages)


async def _update(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ConversationUpdate | ConversationPatch,
    *,
    with_messages: bool = True,
) -> web.Response:
    shown = await service.update_and_show(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        wanted=body,
        precondition=headers.precondition,
        with_messages=with_messages,
    )
    return answer(shown, with_messages=with_messages)


@routes.route(
    "PUT",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ConversationOut,
    errors=(StaleVersion, PreconditionRequired, TooLarge, *OF_QUOTAS),
    sends=("ETag", "Link"),
    max_body=BULK_BODY,
)
async def put_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ConversationUpdate,
) -> web.StreamResponse:
    """Replace any of title, messages, metadata, status and tags.

    Fields that are not given stay. `messages` and `metadata` replace the stored values;
    for `messages` of a long conversation, `If-Match` is required.
    """
    return await _update(request, actor, path, headers, body)


@routes.route(
    "PATCH",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_UPDATE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ConversationOut | ConversationSummary,
    errors=(StaleVersion,),
    sends=("ETag", "Link"),
    max_body=FREE_BODY,
)
async def patch_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: ViewQuery,
    headers: ConditionalHeaders,
    body: ConversationPatch,
) -> web.StreamResponse:
    """Merge title, tags, status and metadata keys (RFC 7396).

    Fields that are not given stay. A key of `metadata` that is null is removed; title and tags that
    are null get their defaults.
    """
    return await _update(request, actor, path, headers, body, with_messages=query.with_messages)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/archive",
    Action.CONVERSATION_ARCHIVE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ConversationOut | ConversationSummary,
    errors=(StaleVersion, KeyReused),
    sends=("ETag", "Link"),
)
async def archive_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    query: ViewQuery,
    headers: ConditionalRepeatHeaders,
    body: ArchiveIn,
) -> web.StreamResponse:
    """Archive a conversation, or restore it from the archive.

    Nothing is deleted. An archived conversation gets no replies, and its tools do not run.
    """
    shown = await service.archive(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        archived=body.archived,
        precondition=headers.precondition,
        idempotency_key=await idempotency_key_of(request, headers),
        with_messages=query.with_messages,
    )
    return answer(shown, with_messages=query.with_messages)
