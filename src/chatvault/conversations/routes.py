"""Conversations over HTTP."""

import re
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.conversations import service
from chatvault.conversations.lane import Lane
from chatvault.conversations.models import Raw, Status
from chatvault.conversations.schemas import (
    Appended,
    ConversationCreate,
    ConversationOut,
    ConversationPatch,
    ConversationPath,
    ConversationSummary,
    ConversationUpdate,
    CountOut,
    DeletedOut,
    MessageIn,
    conversation_wire,
    message_wire,
    summary_wire,
)
from chatvault.errors import MessageIdTaken, StaleVersion, TooLarge
from chatvault.routing import Routes
from chatvault.web import RECORDER, etag, json_response, page_links

LANE = web.AppKey("lane", Lane)
MAX_PAGE = 200
ETAG = re.compile(r'\s*"(\d{1,18})"\s*')
MINIMAL = re.compile(r'\s*return\s*=\s*("?)minimal\1\s*(;.*)?', re.IGNORECASE)
routes = Routes("conversations")


def _to_versions(value: str) -> frozenset[int] | None:
    if value.strip() == "*":
        return None
    found = [ETAG.fullmatch(part) for part in value.split(",")]
    if not all(part.strip() for part in value.split(",")):
        raise PydanticCustomError("etag", "If-Match should be ETags in quotes, or *")
    # A tag that none of ours can be matches nothing.
    return frozenset(int(match[1]) for match in found if match)


IfMatch = Annotated[
    frozenset[int] | None,
    BeforeValidator(_to_versions),
    Field(alias="If-Match", description="the ETag that the change is meant for; else 412"),
]


class ConditionalHeaders(BaseModel):
    """A change may insist on the version it was made for."""

    versions: IfMatch = None


class PreferHeaders(BaseModel):
    """A client may prefer a short answer (RFC 7240)."""

    prefer: str = Field("", alias="Prefer", description="return=minimal leaves out the rest")

    @property
    def minimal(self) -> bool:
        """Whether `return=minimal` is preferred."""
        return any(MINIMAL.fullmatch(part) for part in self.prefer.split(","))


class ReadHeaders(BaseModel):
    """A reader may know a version already."""

    if_none_match: str = Field("", alias="If-None-Match", description="an ETag; 304 if current")


class ListQuery(BaseModel):
    """Which of my conversations."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=MAX_PAGE)
    offset: int = Field(0, ge=0, le=10**9)
    status: Status | None = None
    view: str = Field("full", pattern="^(full|summary)$")


def _answer(stored: Raw, *, status: int = 200) -> web.Response:
    headers = {"ETag": etag(stored["version"])}
    if status == 201:  # noqa: PLR2004  # Created
        headers["Location"] = f"/conversations/{stored['_id']}"
    return json_response(conversation_wire(stored), status=status, headers=headers)


@routes.route(
    "GET",
    "/conversations",
    Action.CONVERSATION_LIST,
    returns=list[ConversationOut | ConversationSummary],
)
async def list_conversations(
    request: web.Request, actor: Actor, query: ListQuery
) -> web.StreamResponse:
    """List my conversations, newest change first."""
    is_full = query.view == "full"
    page = await service.list_page(
        actor,
        request.app[RECORDER],
        status=query.status,
        limit=query.limit,
        offset=query.offset,
        with_messages=is_full,
    )
    render = conversation_wire if is_full else summary_wire
    return json_response(
        [render(stored) for stored in page.conversations],
        headers=page_links(request, limit=query.limit, offset=query.offset, total=page.total),
    )


@routes.route(
    "POST",
    "/conversations",
    Action.CONVERSATION_CREATE,
    status=201,
    returns=ConversationOut,
    errors=(TooLarge,),
)
async def create_conversation(
    request: web.Request, actor: Actor, body: ConversationCreate
) -> web.StreamResponse:
    """Begin a conversation."""
    stored = await service.create(actor, request.app[LANE], wanted=body)
    return _answer(stored, status=201)


@routes.route("DELETE", "/conversations", Action.CONVERSATION_DELETE_ALL, returns=DeletedOut)
async def delete_conversations(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Delete all my conversations, for good."""
    deleted = await service.delete_all(actor, request.app[LANE], request.app[RECORDER])
    message = f"Deleted {deleted} conversation{'' if deleted == 1 else 's'}"
    return json_response(DeletedOut(deleted_count=deleted, message=message))


@routes.route("GET", "/conversations/stats/count", Action.CONVERSATION_COUNT, returns=CountOut)
async def count_conversations(request: web.Request, actor: Actor) -> web.StreamResponse:
    """Count my conversations."""
    return json_response(CountOut(count=await service.count(actor, request.app[RECORDER])))


@routes.route(
    "GET", "/conversations/{conversation_id}", Action.CONVERSATION_GET, returns=ConversationOut
)
async def get_conversation(
    request: web.Request, actor: Actor, path: ConversationPath, headers: ReadHeaders
) -> web.StreamResponse:
    """Read one conversation."""
    stored = await service.get(actor, request.app[RECORDER], conversation_id=path.conversation_id)
    tag = etag(stored["version"])
    known = {part.strip().removeprefix("W/") for part in headers.if_none_match.split(",")}
    if known & {tag, "*"}:
        return web.Response(status=304, headers={"ETag": tag})
    return _answer(stored)


async def _update(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ConversationUpdate | ConversationPatch,
) -> web.Response:
    await service.update(
        actor,
        request.app[LANE],
        conversation_id=path.conversation_id,
        wanted=body,
        versions=headers.versions,
    )
    return _answer(await service.read_back(actor, conversation_id=path.conversation_id))


@routes.route(
    "PUT",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_UPDATE,
    returns=ConversationOut,
    errors=(StaleVersion, TooLarge),
)
async def put_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ConversationUpdate,
) -> web.StreamResponse:
    """Replace any of title, messages, metadata, status and tags."""
    return await _update(request, actor, path, headers, body)


@routes.route(
    "PATCH",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_UPDATE,
    returns=ConversationOut,
    errors=(StaleVersion,),
)
async def patch_conversation(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: ConditionalHeaders,
    body: ConversationPatch,
) -> web.StreamResponse:
    """Merge title, tags, status and metadata keys (RFC 7396)."""
    return await _update(request, actor, path, headers, body)


@routes.route(
    "DELETE",
    "/conversations/{conversation_id}",
    Action.CONVERSATION_DELETE,
    status=204,
    errors=(StaleVersion,),
)
async def delete_conversation(
    request: web.Request, actor: Actor, path: ConversationPath, headers: ConditionalHeaders
) -> web.StreamResponse:
    """Delete one conversation, for good."""
    await service.delete(
        actor,
        request.app[LANE],
        conversation_id=path.conversation_id,
        versions=headers.versions,
    )
    return web.Response(status=204)


@routes.route(
    "POST",
    "/conversations/{conversation_id}/messages",
    Action.CONVERSATION_APPEND_MESSAGE,
    returns=ConversationOut | Appended,
    errors=(MessageIdTaken, TooLarge),
)
async def append_message(
    request: web.Request,
    actor: Actor,
    path: ConversationPath,
    headers: PreferHeaders,
    body: MessageIn,
) -> web.StreamResponse:
    """Append a message; the answer is the whole conversation, or little if preferred so."""
    appended = await service.append_message(
        actor, request.app[LANE], conversation_id=path.conversation_id, wanted=body
    )
    if not headers.minimal:
        return _answer(await service.read_back(actor, conversation_id=path.conversation_id))
    shown = {
        "message": message_wire(appended.message),
        "total_messages": appended.total_messages,
        "version": appended.version,
        "updated_at": appended.updated_at,
    }
    return json_response(
        shown,
        headers={"ETag": etag(appended.version), "Preference-Applied": "return=minimal"},
    )
