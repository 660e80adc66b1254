"""HTTP routes of a conversation's messages."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Literal, Self

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from chatvault.actor import Actor, Scope
from chatvault.audit.actions import Action
from chatvault.conversations.branches.service import ReplyUnderWay
from chatvault.conversations.headers import (
    AppendHeaders,
    MessageConditionalHeaders,
    message_etag,
)
from chatvault.conversations.kept_pages import RenderedPage
from chatvault.conversations.message_schemas import (
    Appended,
    AppendedBatch,
    MessageOut,
    MessagePageOut,
    OutlineOut,
    RevisionOut,
)
from chatvault.conversations.messages import append_service
from chatvault.conversations.messages import service as message_service
from chatvault.conversations.messages.service import LATEST
from chatvault.conversations.parents import UnknownParent
from chatvault.conversations.reading.pages import PageRequest
from chatvault.conversations.reading.rendering import render_page
from chatvault.conversations.reading.wire import message_wire, messages_wire
from chatvault.conversations.routes import COMMITS, STORE, answer
from chatvault.conversations.schemas import (
    AppendIn,
    ConversationOut,
    ConversationPath,
    MessageBatch,
    MessageEdit,
    MessagePath,
)
from chatvault.conversations.shapes import StoredMessage
from chatvault.encoding import to_json
from chatvault.errors import OF_QUOTAS, MessageIdTaken, NotLastAnswer, StaleVersion, TooLarge
from chatvault.fields import Instant
from chatvault.http.bodies import BULK_BODY, MESSAGE_BODY
from chatvault.http.requests import (
    RECORDER,
    etag,
    idempotency_key_of,
    json_response,
    link_to,
    stream,
)
from chatvault.http.routing import Routes
from chatvault.idempotency import KeyReused

NDJSON = "application/x-ndjson"
PATH = "/conversations/{conversation_id}/messages"
routes = Routes("messages")

Seq = Annotated[int, Field(ge=-1, le=LATEST)]


class PageQuery(BaseModel):
    """The query of a page of messages: by offset, by the `seq` of a known message, or by time."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=10**9)
    before: Annotated[
        Seq | None,
        BeforeValidator(lambda value: LATEST if value == "latest" else value),
        Field(description="only messages with a lower seq, the newest of them; or `latest`"),
    ] = None
    after: Annotated[
        Seq | None, Field(description="only messages with a higher seq, the oldest of them")
    ] = None

    since: Annotated[
        Instant | None,
        Field(description="only messages from the first of this time on, the oldest of them"),
    ] = None

    around: Annotated[
        Seq | None, Field(description="messages with this seq in their middle, as far as there are")
    ] = None

    branches: Literal["active", "all"] = Field(
        "active",
        description="the branch that is shown, or the messages of all, each with its parent_id",
    )

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if len(self.model_fields_set & {"offset", "before", "after", "since", "around"}) > 1:
            raise ValueError("only one of offset, before, after, since and around")
        if self.since is not None and self.branches == "all":
            raise ValueError("since is for the branch that is shown")
        return self

    @property
    def is_newest(self) -> bool:
        """Whether it asks for the newest messages of the branch that is shown."""
        return self.before == LATEST and self.branches == "active"

    def to_request(self) -> PageRequest:
        """Return the query as a page request."""
        chosen = self.model_dump(exclude={"branches"})
        return PageRequest(**chosen, whole=self.branches == "all")


@routes.route(
    "GET",
    PATH,
    Action.CONVERSATION_LIST_MESSAGES,
    scope=Scope.CONVERSATIONS_READ,
    returns=MessagePageOut,
    media=("application/json", NDJSON),
    sends=("ETag", "Link", "X-Total-Count"),
)
async def list_messages(
    request: web.Request, actor: Actor, path: ConversationPath, query: PageQuery
) -> web.StreamResponse:
    """Return a page of messages, or stream all with `Accept: application/x-ndjson`.

    Page by `offset` from the oldest, `since` a time, `around` a known `seq`, or `before` and
    `after` one, which stays stable while messages arrive.
    """
    if NDJSON in request.headers.get("Accept", ""):
        return await _stream(request, actor, path, query)
    deps, conversation_id = (request.app[STORE], request.app[RECORDER]), path.conversation_id
    if query.is_newest:
        page = await message_service.show_newest(
            actor, *deps, conversation_id=conversation_id, limit=query.limit
        )
    else:
        found = await message_service.list_page(
            actor, *deps, conversation_id=conversation_id, wanted=query.to_request()
        )
        page = render_page(found, query.limit)
    return _page(request, query, page)


class OutlineQuery(BaseModel):
    """The query of an outline."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=500)
    after: Annotated[Seq, Field(description="only messages with a higher seq")] = -1


@routes.route(
    "GET",
    f"{PATH}/outline",
    Action.CONVERSATION_OUTLINE,
    scope=Scope.CONVERSATIONS_READ,
    returns=OutlineOut,
    sends=("Link",),
)
async def get_outline(
    request: web.Request, actor: Actor, path: ConversationPath, query: OutlineQuery
) -> web.StreamResponse:
    """List what the user wrote: the first words of each message, and its place.

    Of the branch that is shown. A page of a part with few messages of the user's has fewer than
    `limit`; `Link` leads on as long as `hasMore` is true.
    """
    found = await message_service.outline(
        actor,
        request.app[STORE],
        request.app[RECORDER],
        conversation_id=path.conversation_id,
        after=query.after,
        limit=query.limit,
    )
    headers = {}
    if found.has_more:
        headers["Link"] = f'<{link_to(request, after=found.last_seq)}>; rel="next"'
    shown = {"messages": found.headings, "hasMore": found.has_more}
    return json_response(shown, headers=headers)


def _page(request: web.Request, query: PageQuery, page: RenderedPage) -> web.Response:
    shown = {
        "messages": orjson.Fragment(page.json),
        "pagination": {
            "total": page.total,
            "limit": query.limit,
            "offset": page.offset,
            "hasMore": page.has_more,
        },
    }
    return json_response(shown, headers=_links(request, query, page))


def _links(request: web.Request, query: PageQuery, page: RenderedPage) -> dict[str, str]:
    """Return `Link` to the messages around a page, by cursors that new messages do not shift."""
    headers = {"X-Total-Count": str(page.total), "ETag": etag(page.version)}
    oldest, newest = page.oldest, page.newest
    if oldest is None:
        return headers
    backwards = query.before is not None
    links = []
    if (
        page.has_more or backwards
    ):  # the newest page has a `next` too, for messages that arrive later
        links.append((link_to(request, drop="offset before since around", after=newest), "next"))
    if page.has_more if backwards else oldest > page.first_seq:
        links.append((link_to(request, drop="offset after since around", before=oldest), "prev"))
    if links:
        headers["Link"] = ", ".join(f'<{target}>; rel="{name}"' for target, name in links)
    return headers


async def _stream(
    request: web.Request, actor: Actor, path: ConversationPath, query: PageQuery
) -> web.StreamResponse:
    runs = await message_service.stream_all(
        actor,
        request.app[STORE],
        request.app[RECORDER],
        conversation_id=path.conversation_id,
        whole=query.branches == "all",
    )

    async def lines() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(runs):
            async for run in runs:
                yield b"".join(to_json(message_wire(stored)) + b"\n" for stored in run)

    return await stream(request, lines(), headers={"Content-Type": NDJSON})


@routes.route(
    "POST",
    PATH,
    Action.CONVERSATION_APPEND_MESSAGE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=ConversationOut | Appended,
    errors=(
        MessageIdTaken,
        NotLastAnswer,
        ReplyUnderWay,
        TooLarge,
        UnknownParent,
        KeyReused,
        *OF_QUOTAS,
    ),
    sends=("ETag", "Link", "Preference-Applied"),
    max_body=MESSAGE_BODY,
)
async def append_message(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: AppendHeaders,
    body: AppendIn,
) -> web.StreamResponse:
    """Append a message; the answer is the whole conversation, or little if preferred so.

    The answer is the whole conversation, or with `Prefer: return=minimal` the message and the
    counts. An `id` of your own makes a retry harmless.
    """
    appended = await append_service.add(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        wanted=body,
        idempotency_key=await idempotency_key_of(request, headers),
        shows_message=headers.minimal,
    )
    if appended.conversation is not None:
        return answer(appended.conversation)
    shown = {
        "message": message_wire(appended.messages[0]),
        "total_messages": appended.total_messages,
        "version": appended.version,
        "updated_at": appended.updated_at,
    }
    return json_response(
        shown,
        headers={"ETag": etag(appended.version), "Preference-Applied": "return=minimal"},
    )


@routes.route(
    "POST",
    PATH + ":batch",
    Action.CONVERSATION_APPEND_MESSAGES,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=AppendedBatch,
    errors=(MessageIdTaken, TooLarge, KeyReused, *OF_QUOTAS),
    sends=("ETag",),
    max_body=BULK_BODY,
)
async def append_batch(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: AppendHeaders,
    body: MessageBatch,
) -> web.StreamResponse:
    """Append up to 1,000 messages and 4 MB in one atomic step.

    All or none are stored. Those that were stored before are counted in `repeated_count`.
    """
    appended = await append_service.append(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        wanted=body.messages,
        idempotency_key=await idempotency_key_of(request, headers),
        action=Action.CONVERSATION_APPEND_MESSAGES,
    )
    shown = {
        "messages": messages_wire(appended.messages),
        "repeated_count": appended.repeated,
        "total_messages": appended.total_messages,
        "version": appended.version,
        "updated_at": appended.updated_at,
    }
    return json_response(shown, headers={"ETag": etag(appended.version)})


@routes.route(
    "GET",
    PATH + "/{message_id}",
    Action.CONVERSATION_GET_MESSAGE,
    scope=Scope.CONVERSATIONS_READ,
    returns=MessageOut,
    sends=("ETag",),
)
async def get_message(request: web.Request, actor: Actor, path: MessagePath) -> web.StreamResponse:
    """Read one message; its ETag is made of its place and version.

    It differs from the conversation's ETag, and never stands for another content.
    """
    stored = await message_service.get(
        actor, request.app[STORE], request.app[RECORDER], **path.model_dump()
    )
    return json_response(message_wire(stored), headers={"ETag": message_etag(stored)})


@routes.route(
    "PATCH",
    PATH + "/{message_id}",
    Action.CONVERSATION_EDIT_MESSAGE,
    scope=Scope.CONVERSATIONS_WRITE,
    returns=MessageOut,
    errors=(StaleVersion, TooLarge),
    sends=("ETag",),
    max_body=MESSAGE_BODY,
)
async def edit_message(
    request: web.Request,
    actor: Actor,
    path: MessagePath,
    headers: MessageConditionalHeaders,
    body: MessageEdit,
) -> web.StreamResponse:
    """Edit a message; the previous state is kept as a revision.

    Fields that are not given stay; null removes a field. `If-Match` takes the message's own ETag.
    """
    stored = await message_service.edit(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        message_id=path.message_id,
        wanted=body,
        precondition=headers.precondition,
    )
    return json_response(message_wire(stored), headers={"ETag": message_etag(stored)})


@routes.route(
    "DELETE",
    PATH + "/{message_id}",
    Action.CONVERSATION_DELETE_MESSAGE,
    scope=Scope.CONVERSATIONS_WRITE,
    status=204,
    errors=(StaleVersion,),
)
async def delete_message(
    request: web.Request, actor: Actor, path: MessagePath, headers: MessageConditionalHeaders
) -> web.StreamResponse:
    """Remove a message with its revisions.

    Its revisions and commands are removed too. Its id and its place are not used again.
    """
    await message_service.remove(
        actor,
        request.app[COMMITS],
        conversation_id=path.conversation_id,
        message_id=path.message_id,
        precondition=headers.precondition,
    )
    return web.Response(status=204)


@routes.route(
    "GET",
    PATH + "/{message_id}/revisions",
    Action.CONVERSATION_LIST_REVISIONS,
    scope=Scope.CONVERSATIONS_READ,
    returns=list[RevisionOut],
)
async def list_revisions(
    request: web.Request, actor: Actor, path: MessagePath
) -> web.StreamResponse:
    """List the revisions of a message: its states before each edit, oldest first.

    The list is empty if it was never edited.
    """
    revisions = await message_service.list_revisions(
        actor, request.app[STORE], request.app[RECORDER], **path.model_dump()
    )
    return json_response(
        [
            {
                "version": revision["version"],
                "replaced_at": revision["replaced_at"],
                "message": message_wire(StoredMessage(revision["seq"], revision["message"])),
            }
            for revision in revisions
        ]
    )
