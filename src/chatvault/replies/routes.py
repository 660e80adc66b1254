"""HTTP routes of replies: as one answer, or as a stream of events that can be resumed."""

from aiohttp import web

from chatvault.access import AgentsNotGranted, InsufficientGrant
from chatvault.actor import Actor, Scope
from chatvault.agents.models import AgentNotFound, ModelNotConfigured
from chatvault.audit.actions import Action
from chatvault.conversations.schemas import ConversationPath
from chatvault.errors import OF_QUOTAS, ConversationArchived, MessageIdTaken, Throttled
from chatvault.fields import Raw
from chatvault.http.bodies import MESSAGE_BODY
from chatvault.http.requests import (
    IdempotencyHeaders,
    idempotency_key_of,
    json_response,
)
from chatvault.http.routing import Routes
from chatvault.http.sse import EVENT_STREAM, send_events, wants_stream
from chatvault.idempotency import KeyReused
from chatvault.replies import errors, service, titles
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.models import ReplyDoc
from chatvault.replies.schemas import (
    ContextOut,
    ContextQuery,
    FollowHeaders,
    ReplyIn,
    ReplyOut,
    ReplyPath,
    ReplyStateOut,
    SummaryOut,
)

PATH = "/conversations/{conversation_id}/replies"
REPLY_DEPS = web.AppKey("desk", ReplyDeps)
SUMMARIES = web.AppKey("summaries", titles.Background)
routes = Routes("replies")


@routes.route(
    "POST",
    PATH,
    Action.REPLY_CREATE,
    scope=Scope.AGENTS_RUN,
    status=201,
    returns=ReplyOut,
    other={200: EVENT_STREAM},
    errors=(
        *(ModelNotConfigured, AgentNotFound, Throttled, KeyReused, MessageIdTaken),
        *(ConversationArchived, errors.ReplyInProgress, errors.TokenLimitReached),
        *(errors.NothingToAnswer, *errors.FAILURES, InsufficientGrant, AgentsNotGranted),
        *OF_QUOTAS,
    ),
    sends=("Location",),
    max_body=MESSAGE_BODY,
)
async def create_reply(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: IdempotencyHeaders,
    body: ReplyIn,
) -> web.StreamResponse:
    """Send a message and get the answer, complete or as a stream while it is written.

    With `Accept: text/event-stream` the answer is a stream of events, with the status 200; else
    it is sent when complete, with 201. `regenerate` asks for another answer to the last message.
    """
    deps, conversation_id = request.app[REPLY_DEPS], path.conversation_id
    idempotency_key = await idempotency_key_of(request, headers)
    if wants_stream(request):
        events = await service.stream_answer(
            actor,
            deps,
            conversation_id=conversation_id,
            wanted=body,
            idempotency_key=idempotency_key,
        )
        return await send_events(request, events)
    exchange = await service.await_answer(
        actor,
        deps,
        conversation_id=conversation_id,
        wanted=body,
        idempotency_key=idempotency_key,
    )
    location = f"/conversations/{conversation_id}/replies/{exchange['reply_id']}"
    return json_response(exchange, status=201, headers={"Location": location})


@routes.route(
    "GET",
    PATH + "/{reply_id}",
    Action.REPLY_GET,
    scope=Scope.CONVERSATIONS_READ,
    returns=ReplyStateOut,
)
async def get_reply(request: web.Request, actor: Actor, path: ReplyPath) -> web.StreamResponse:
    """Return the state of a reply.

    The state of a reply that has ended stays available.
    """
    reply = await service.get(actor, request.app[REPLY_DEPS], **dict(path))
    return json_response(_state(reply))


@routes.route(
    "GET",
    PATH + "/{reply_id}/events",
    Action.REPLY_FOLLOW,
    scope=Scope.CONVERSATIONS_READ,
    returns=str,
    media=(EVENT_STREAM,),
)
async def follow_reply(
    request: web.Request, actor: Actor, path: ReplyPath, headers: FollowHeaders
) -> web.StreamResponse:
    """Follow a reply from `Last-Event-ID` on, or from its beginning; also after it has ended.

    This resumes a stream that broke off. It ends with the reply; a waiting
    reply stays open.
    """
    events = await service.open_events(
        actor, request.app[REPLY_DEPS], **dict(path), after=headers.last_event_id
    )
    return await send_events(request, events)


@routes.route(
    "POST",
    PATH + "/{reply_id}/cancel",
    Action.REPLY_CANCEL,
    scope=Scope.AGENTS_RUN,
    returns=ReplyStateOut,
    errors=(KeyReused, InsufficientGrant, AgentsNotGranted),
)
async def cancel_reply(
    request: web.Request, actor: Actor, path: ReplyPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Cancel a reply; the text so far is kept.

    The text so far is marked `cancelled`. A waiting reply's pending commands are rejected.
    """
    idempotency_key = await idempotency_key_of(request, headers)
    reply = await service.cancel(
        actor, request.app[REPLY_DEPS], **dict(path), idempotency_key=idempotency_key
    )
    return json_response(_state(reply))


def _state(reply: ReplyDoc) -> Raw:
    return {
        "reply_id": reply["_id"],
        "conversation_id": reply["conversation_id"],
        "state": reply["state"],
        "code": reply["code"],
        "answer_id": reply["answer_id"],
    }


@routes.route(
    "GET",
    "/conversations/{conversation_id}/context",
    Action.CONVERSATION_CONTEXT,
    scope=Scope.CONVERSATIONS_READ,
    returns=ContextOut,
    errors=(errors.TokenLimitReached, AgentNotFound),
)
async def get_context(
    request: web.Request, actor: Actor, path: ConversationPath, query: ContextQuery
) -> web.StreamResponse:
    """Return exactly what would be sent to the model, with its token count.

    With `content`, this is what would be sent if it were the next message. Nothing
    is sent.
    """
    shown = await service.get_context(
        actor,
        request.app[REPLY_DEPS],
        conversation_id=path.conversation_id,
        content=query.content,
        agent_id=query.agent_id,
    )
    return json_response(shown)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/summary",
    Action.CONVERSATION_SUMMARIZE,
    scope=Scope.AGENTS_RUN,
    returns=SummaryOut,
    errors=(ModelNotConfigured, Throttled, KeyReused, *errors.FAILURES),
)
async def summarize(
    request: web.Request, actor: Actor, path: ConversationPath, headers: IdempotencyHeaders
) -> web.StreamResponse:
    """Summarise a conversation in two or three sentences.

    The summary is kept with the conversation. With fewer than three messages it is null, and
    `detail` says so.
    """
    summary = await service.summarize(
        actor,
        request.app[REPLY_DEPS],
        request.app[SUMMARIES],
        conversation_id=path.conversation_id,
        idempotency_key=await idempotency_key_of(request, headers),
    )
    detail = "Conversation too short to summarize" if summary is None else None
    return json_response({"summary": summary, "detail": detail})
